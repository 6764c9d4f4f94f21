-- Alerts of which something comes due by itself; `due_at` is kept by whoever moves one.
select a.alert_id, s.site_code, a.rule, a.severity, a.subject, a.evidence,
       a.state, a.told_at, a.escalated, a.promised_on, a.snoozed_until, a.reopened_at
from nengliu.alert a
left join nengliu.site s using (site_id)
where a.due_at <= %(until)s
order by a.due_at, a.alert_id
for update of a skip locked
