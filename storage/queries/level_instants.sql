-- Means of the hours of the instant values of a point, power and current by the ratio of their register; hours since
-- 1970. A value at the end of an hour is of that hour.
select i.register, (floor((extract(epoch from r.ts) - 0.001) / 3600))::int4 as hour,
       avg(r.value * case when i.register = any (%(volts)s) then 1 else i.ratio end)::float8
from nengliu.installation i
join nengliu.series s using (meter, register)
join nengliu.reading r on r.series_id = s.series_id and r.ts > %(from_ts)s and r.ts <= %(to_ts)s
    and r.ts >= i.installed_at and (i.removed_at is null or r.ts < i.removed_at)
where i.point_id = %(point)s and i.register = any (%(instants)s)
group by i.register, hour
