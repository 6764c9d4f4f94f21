-- Of each slice the last readings before (or at) to_ts, at most %(most)s, not before from_ts. The plain bounds spare
-- chunks that hold nothing for any slice.
select s.slice, r.ts, r.value
from derive_slice s
cross join lateral (
    select ts, value
    from nengliu.reading
    where series_id = s.series_id and ts >= s.from_ts and ts <= s.to_ts
      and ts >= %(from_ts)s::timestamptz and ts <= %(to_ts)s::timestamptz
    order by ts desc
    limit %(most)s
) r
