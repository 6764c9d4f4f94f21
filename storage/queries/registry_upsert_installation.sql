insert into nengliu.installation as i
    (meter, point_id, register, gateway, protocol, unit, digits, decimals, ratio, installed_at, removed_at,
     start_value, end_value, interval_s, model)
select u.meter, p.point_id, u.register, u.gateway, u.protocol, u.unit, u.digits, u.decimals, u.ratio,
       u.installed_at, u.removed_at, u.start_value, u.end_value, u.interval_s, u.model
from unnest(%(meter)s::text[], %(point_code)s::text[], %(register)s::text[], %(gateway)s::text[],
            %(protocol)s::text[], %(unit)s::text[], %(digits)s::int4[], %(decimals)s::int4[], %(ratio)s::float8[],
            %(installed_at)s::timestamptz[], %(removed_at)s::timestamptz[], %(start_value)s::float8[],
            %(end_value)s::float8[], %(interval_s)s::int4[], %(model)s::text[])
    as u (meter, point_code, register, gateway, protocol, unit, digits, decimals, ratio, installed_at, removed_at,
          start_value, end_value, interval_s, model)
join nengliu.point p using (point_code)
on conflict (meter, register, installed_at) do update
set point_id = excluded.point_id, gateway = excluded.gateway, protocol = excluded.protocol, unit = excluded.unit,
    digits = excluded.digits, decimals = excluded.decimals, ratio = excluded.ratio,
    removed_at = excluded.removed_at, start_value = excluded.start_value, end_value = excluded.end_value,
    interval_s = excluded.interval_s, model = excluded.model
