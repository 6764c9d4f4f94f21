-- The meters of a gateway: one series each, how often and where it is read, and from when to when through this gateway.
select distinct on (i.meter) i.meter, s.series_id, i.interval_s, i.point_id, p.site_id,
       (extract(epoch from min(i.installed_at) over m) * 1000000)::int8,
       (extract(epoch from max(coalesce(i.removed_at, timestamptz '9999-01-01 UTC')) over m) * 1000000)::int8
from nengliu.installation i
join nengliu.series s using (meter, register)
join nengliu.point p using (point_id)
where i.gateway = %(gateway)s and (i.removed_at is null or i.removed_at > i.installed_at)
window m as (partition by i.meter)
order by i.meter, i.register, i.installed_at desc
