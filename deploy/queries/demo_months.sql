-- Electricity by month of the sites of the demonstration, kWh.
select site_code, period, consumption, estimated
from api.site_energy_month
where item_code = '01' and site_code = any(%(sites)s)
