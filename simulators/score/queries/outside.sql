-- Hours and energy of points before and after the run.
select point_code, count(*), sum(consumption)
from api.energy_hour
where point_code = any (%(points)s) and (period < %(from)s or period >= %(to)s)
group by point_code
