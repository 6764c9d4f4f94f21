-- A meter at each point, named by the numbers of site and point; what it is derived from follows (metering/spans.py).
with put as (
    insert into nengliu.installation
        (meter, point_id, register, gateway, protocol, unit, digits, decimals, ratio, installed_at, start_value, interval_s)
    select lpad((r.site_n + 1)::text, 8, '0') || lpad(r.number::text, 4, '0'), q.point_id, p.register,
           %(gateway)s || c.site_code, 'json', p.unit, %(digits)s, %(decimals)s, 1,
           timestamptz 'epoch' + %(installed_us)s::bigint * interval '1 microsecond', r.start_value, %(interval_s)s
    from city_register r
    join city_site c using (site_n)
    join city_point p using (number)
    join nengliu.point q on q.point_code = c.site_code || '-' || p.number
    order by r.site_n, r.number
    returning meter, register, point_id, installed_at
), spans as (
    insert into nengliu.point_span (point_id, from_ts, to_ts)
    select point_id, installed_at, 'infinity' from put
)
insert into nengliu.series (meter, register)
select meter, register from put
