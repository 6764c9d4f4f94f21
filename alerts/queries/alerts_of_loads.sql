-- The newest alert of each rule and subject, but for those that were retracted.
select distinct on (rule, subject) alert_id, rule, subject, state, (evidence ->> 'as_of')::date, resolved_at, settled_as_of
from nengliu.alert
where rule = any (%(rules)s) and subject = any (%(subjects)s) and state <> 'retracted'
order by rule, subject, alert_id desc
