-- Alerts of a year's series, oldest first; through: the day of the newest assessment that spoke to it.
select a.alert_id, a.site_id, a.item_code, a.year, a.rule, a.state, (a.evidence ->> 'as_of')::date as as_of
from nengliu.alert a
where a.year = %(year)s and a.site_id = any (%(sites)s::int[])
order by a.alert_id
