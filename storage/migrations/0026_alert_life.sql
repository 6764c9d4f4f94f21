-- How an alert is followed up: promises, snoozes, reminders, escalations; and alerts of findings, which may be of no one site
-- and have no item and year.
alter table nengliu.alert
    alter column site_id drop not null,
    alter column item_code drop not null,
    alter column year drop not null,
    add column told_at timestamptz,             -- opened, confirmed, acknowledged, reminded or escalated last
    add column escalated int not null default 0,
    add column promised_on date,                -- local day by which it is to be put right
    add column snoozed_until timestamptz,
    add column due_at timestamptz,              -- when something comes due by itself; NULL: nothing
    add column finding_id bigint;                -- the first finding that it is about
update nengliu.alert
set told_at = greatest(opened_at, confirmed_at, acknowledged_at, resolved_at),
    due_at = case when state in ('confirmed', 'acknowledged') then now() end;
alter table nengliu.alert alter column told_at set not null;
create index alert_due on nengliu.alert (due_at) where due_at is not null;
create index alert_of_finding on nengliu.alert (finding_id) where finding_id is not null;

alter table nengliu.assessment_cursor add column findings_heard timestamptz;  -- up to when findings were heard, wall clock
alter table nengliu.assessment_cursor add column loads_heard date;  -- the last local day as of which loads were looked at
create index finding_changed on nengliu.finding (changed_at);

alter table nengliu.alert_transition add column action text;
update nengliu.alert_transition
set action = case when from_state is null then 'opened' else to_state end;
alter table nengliu.alert_transition alter column action set not null;

create or replace view api.alert with (security_barrier) as
select a.alert_id, s.site_code, a.rule, a.severity, a.state, a.subject, a.opened_at, a.confirmed_at,
       a.acknowledged_at, a.resolved_at, a.evidence, a.promised_on, a.snoozed_until, a.escalated
from nengliu.alert a left join nengliu.site s using (site_id);

create or replace view api.alert_transition with (security_barrier) as
select alert_id, at, from_state, to_state, actor, note, action
from nengliu.alert_transition;

-- Which share of the year's use season and kind of day say is due by the end of the day; pace: used by what that is of the limit.
alter table nengliu.quota_assessment add column expected_share float8;
create or replace view api.quota_assessment with (security_barrier) as
select distinct on (s.site_code, a.item_code, a.year, a.as_of)
       s.site_code, a.item_code, a.year, a.as_of, a.used, a.limit_value, a.used / nullif(a.limit_value, 0) as used_ratio,
       a.forecast_p10, a.forecast_p50, a.forecast_p90, a.exhaustion_date, a.level, a.completeness, a.assessed_at,
       a.expected_share, a.used / nullif(a.limit_value * a.expected_share, 0) as pace
from nengliu.quota_assessment a join nengliu.site s using (site_id)
order by s.site_code, a.item_code, a.year, a.as_of, a.assessed_at desc;
