-- A site's newest assessment of every item and year that was known at a time (NULL: now).
select distinct on (a.item_code, a.year)
       a.item_code, a.year, a.as_of, a.used, a.limit_value, a.used / nullif(a.limit_value, 0) as used_ratio,
       a.forecast_p10, a.forecast_p50, a.forecast_p90, a.exhaustion_date, a.level, a.completeness
from nengliu.quota_assessment a
join nengliu.site s using (site_id)
where s.site_code = %(site_code)s and a.assessed_at <= coalesce(%(known_at)s::timestamptz, 'infinity')
order by a.item_code, a.year, a.as_of desc, a.assessed_at desc
