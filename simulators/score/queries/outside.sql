-- Hours and energy of points before and after the run. In two parts, so that the hours of the run are not read for it.
select point_code, sum(hours)::int8, sum(energy)
from (select point_code, count(*) as hours, sum(consumption) as energy
      from api.energy_hour
      where point_code = any (%(points)s) and period < %(from)s
      group by point_code
      union all
      select point_code, count(*), sum(consumption)
      from api.energy_hour
      where point_code = any (%(points)s) and period >= %(to)s
      group by point_code) parts
group by point_code
