insert into nengliu.quota_assessment
    (site_id, item_code, year, as_of, assessed_at, used, limit_value, quota_limit_id, forecast_p10, forecast_p50,
     forecast_p90, exhaustion_date, level, completeness, method, expected_share)
select n.site_id, n.item_code, n.year, n.as_of, %(assessed_at)s, n.used, n.limit_value, n.quota_limit_id, n.p10,
       n.p50, n.p90, n.exhaustion_date, n.level, n.completeness, n.method, n.expected_share
from new_assessment n
left join lateral (
    select a.used, a.limit_value, a.quota_limit_id, a.forecast_p10, a.forecast_p50, a.forecast_p90,
           a.exhaustion_date, a.level, a.completeness, a.method, a.expected_share
    from nengliu.quota_assessment a
    where a.site_id = n.site_id and a.item_code = n.item_code and a.year = n.year and a.as_of = n.as_of
    order by a.assessed_at desc
    limit 1
) newest on true
where newest.used is null
   or (n.used, n.limit_value, n.quota_limit_id, n.p10, n.p50, n.p90, n.exhaustion_date, n.level, n.completeness,
       n.method, n.expected_share) is distinct from
      (newest.used, newest.limit_value, newest.quota_limit_id, newest.forecast_p10, newest.forecast_p50,
       newest.forecast_p90, newest.exhaustion_date, newest.level, newest.completeness, newest.method, newest.expected_share)
