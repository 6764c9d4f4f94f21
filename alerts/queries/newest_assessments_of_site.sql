select distinct on (item_code, year)
       item_code, year, as_of, used, limit_value, used_ratio, forecast_p10, forecast_p50, forecast_p90,
       exhaustion_date, level, completeness
from api.quota_assessment
where site_code = %(site_code)s
order by item_code, year, as_of desc
