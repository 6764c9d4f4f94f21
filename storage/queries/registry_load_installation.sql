select i.meter, p.point_code, i.register, i.gateway, i.protocol, i.unit, i.digits, i.decimals, i.ratio,
       i.installed_at, i.removed_at, i.start_value, i.end_value, i.interval_s, i.model
from nengliu.installation i join nengliu.point p using (point_id)
order by i.meter, i.register, i.installed_at
