-- Every assessment, newest known for each day.
select site_code, item_code, year, as_of, used, limit_value, forecast_p10, forecast_p50, forecast_p90, level,
       completeness
from api.quota_assessment
where site_code = any(%(sites)s)
order by site_code, item_code, year, as_of
