-- Alerts of which something may come due by itself; what somebody else holds is left to them.
select a.alert_id, s.site_code, a.rule, a.severity, a.subject, a.evidence,
       a.state, a.told_at, a.escalated, a.promised_on, a.snoozed_until, a.reopened_at
from nengliu.alert a
left join nengliu.site s using (site_id)
where a.due_at is not null
order by a.alert_id
for update of a skip locked
