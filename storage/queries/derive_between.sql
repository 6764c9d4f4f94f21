-- All readings of each slice, both ends included.
select s.slice, r.ts, r.value
from derive_slice s
join nengliu.reading r on r.series_id = s.series_id and r.ts >= s.from_ts and r.ts <= s.to_ts
where r.ts >= %(from_ts)s::timestamptz and r.ts <= %(to_ts)s::timestamptz
