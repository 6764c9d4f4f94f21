-- Energy by local day of the sites and items that have a quota.
select site_code, item_code, period, consumption, completeness
from api.site_energy_day
where (site_code, item_code) in (select site_code, item_code from api.quota)
  and site_code = any(%(sites)s)
order by site_code, item_code, period
