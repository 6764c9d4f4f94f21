-- Up to when, by the clock in use, findings were heard: what begins or ends after that is heard when that time comes.
alter table nengliu.assessment_cursor add column findings_until timestamptz;
