select alert_id, site_code, rule, severity, state, subject, opened_at, confirmed_at, acknowledged_at, resolved_at,
       evidence, promised_on, snoozed_until, escalated
from api.alert
where (%(site)s::text is null or site_code = %(site)s)
  and (%(states)s::text[] is null or state = any (%(states)s::text[]))
  and (%(alert_id)s::bigint is null or alert_id = %(alert_id)s)
order by alert_id
