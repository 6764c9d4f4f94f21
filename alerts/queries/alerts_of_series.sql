-- Alerts of a year's series, oldest first; as_of: the day of the assessment that opened it.
select a.alert_id, a.site_id, a.item_code, a.year, a.rule, a.state, (a.evidence ->> 'as_of')::date as as_of,
       a.opened_at, a.settled_as_of
from nengliu.alert a
where a.year = %(year)s and a.site_id = any (%(sites)s::int[])
order by a.alert_id
