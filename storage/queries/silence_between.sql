-- The times of the readings of each slice, both ends included, packed, and how many at most %(most)s. Slice by slice by
-- the natural key (offset 0 keeps it so); the plain bounds spare chunks that hold nothing for any slice.
select string_agg(int4send(found.slice) || timestamptz_send(found.ts), ''::bytea)
from (
    select s.slice, r.ts
    from unnest(%(slice)s::int4[], %(series_id)s::int4[], %(slice_from)s::timestamptz[], %(slice_to)s::timestamptz[])
        s (slice, series_id, from_ts, to_ts)
    cross join lateral (
        select ts
        from nengliu.reading
        where series_id = s.series_id and ts >= s.from_ts and ts <= s.to_ts
          and ts >= %(from_ts)s::timestamptz and ts <= %(to_ts)s::timestamptz
        offset 0
    ) r
    limit %(most)s
) found
