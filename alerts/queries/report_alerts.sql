-- Every alert, oldest first.
select alert_id, site_code, rule, severity, state, subject, opened_at, acknowledged_at, resolved_at, evidence
from api.alert
where site_code = any(%(sites)s)
order by opened_at, alert_id
