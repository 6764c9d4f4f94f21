-- When an assessment of a day that says all of this was written first.
select min(a.assessed_at)
from nengliu.quota_assessment a
join nengliu.site s using (site_id)
where s.site_code = %(site)s and a.item_code = %(item)s and a.as_of = %(as_of)s and a.used = %(used)s and a.level = %(level)s
  and (a.limit_value, a.completeness, a.forecast_p10, a.forecast_p50, a.forecast_p90) is not distinct from
      (%(limit_value)s::float8, %(completeness)s::float8, %(forecast_p10)s::float8, %(forecast_p50)s::float8,
       %(forecast_p90)s::float8)
