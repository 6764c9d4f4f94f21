-- Of each slice the last readings before (or at) to_ts, at most %(most)s, not before from_ts, packed. The plain bounds
-- spare chunks that hold nothing for any slice.
select string_agg(int4send(s.slice) || timestamptz_send(r.ts) || float8send(r.value), ''::bytea)
from unnest(%(slice)s::int4[], %(series_id)s::int4[], %(slice_from)s::timestamptz[], %(slice_to)s::timestamptz[])
    s (slice, series_id, from_ts, to_ts)
cross join lateral (
    select ts, value
    from nengliu.reading
    where series_id = s.series_id and ts >= s.from_ts and ts <= s.to_ts
      and ts >= %(from_ts)s::timestamptz and ts <= %(to_ts)s::timestamptz
    order by ts desc
    limit %(most)s
) r
