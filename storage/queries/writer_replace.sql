update nengliu.reading r
set value = u.value, received_at = u.received_at
from unnest(%(series)s::int4[], %(ts)s::timestamptz[], %(value)s::float8[], %(received_at)s::timestamptz[])
    as u (series_id, ts, value, received_at)
where r.series_id = u.series_id and r.ts = u.ts and r.ts >= %(low)s and r.ts < %(high)s
