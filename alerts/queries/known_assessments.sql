-- The newest assessment of each series as of a day that was known at a time.
select distinct on (s.site_code, a.item_code)
       s.site_code, a.item_code, a.year, a.as_of, a.used, a.limit_value, a.quota_limit_id,
       a.forecast_p10, a.forecast_p50, a.forecast_p90, a.exhaustion_date, a.level, a.completeness, a.method, a.expected_share,
       a.assessed_at
from nengliu.quota_assessment a
join nengliu.site s using (site_id)
where a.as_of = %(as_of)s and a.assessed_at <= %(known_at)s
  and (%(site_codes)s::text[] is null or s.site_code = any (%(site_codes)s::text[]))
order by s.site_code, a.item_code, a.assessed_at desc
