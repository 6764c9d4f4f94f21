-- Up to when, by the clock in use, findings were heard: what begins or ends after that is heard when that time comes.
alter table nengliu.assessment_cursor add column findings_until timestamptz;
-- When a person took an alert up again: what had been calm before that does not end it.
alter table nengliu.alert add column reopened_at timestamptz;
create index finding_accepted on nengliu.finding (kind, ends) where state = 'accepted';
