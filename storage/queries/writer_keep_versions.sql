-- received_at NULL: the value was current until now, and its receipt is the reading's.
insert into nengliu.reading_version (series_id, ts, value, kind, gateway, received_at)
select u.series_id, u.ts, u.value, u.kind, u.gateway, coalesce(u.received_at, r.received_at)
from unnest(%(series)s::int4[], %(ts)s::timestamptz[], %(value)s::float8[], %(kind)s::text[], %(gateway)s::text[],
            %(received_at)s::timestamptz[])
    as u (series_id, ts, value, kind, gateway, received_at)
cross join lateral (
    select r.received_at from nengliu.reading r
    where r.series_id = u.series_id and r.ts = u.ts and r.ts >= %(low)s and r.ts < %(high)s
    offset 0
) r
on conflict do nothing
