select i.meter, i.register, i.gateway, p.site_id,
       (extract(epoch from i.installed_at) * 1000000)::int8,
       (extract(epoch from i.removed_at) * 1000000)::int8, i.interval_s
from nengliu.installation i join nengliu.point p using (point_id)
where i.removed_at is null or i.removed_at > i.installed_at
order by i.meter, i.register, i.installed_at
