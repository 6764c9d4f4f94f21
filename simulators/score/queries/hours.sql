-- The hours of points within [from, to): one row a point, its hours packed into one value: hour since 1970,
-- consumption, estimated, completeness.
select point_code,
       string_agg(int4send((date_part('epoch', period) / 3600)::int4) || float8send(consumption)
                  || float8send(estimated) || float8send(coalesce(completeness, 0)), ''::bytea)
from api.energy_hour
where point_code = any (%(points)s) and period >= %(from)s and period < %(to)s
group by point_code
