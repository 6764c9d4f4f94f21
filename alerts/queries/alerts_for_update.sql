select a.alert_id, s.site_code, a.rule, a.severity, a.subject, a.evidence,
       a.state, a.told_at, a.escalated, a.promised_on, a.snoozed_until, a.reopened_at
from nengliu.alert a
left join nengliu.site s using (site_id)
where a.alert_id = any (%(alert_ids)s::bigint[])
order by array_position(%(alert_ids)s::bigint[], a.alert_id)
for update of a
