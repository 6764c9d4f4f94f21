-- When series were read in a stretch, and the readings before and after it; n: number of the stretch, from 1; twice:
-- with another value, too.
select u.n::int8, r.ts,
       exists (select from nengliu.reading_version v
               where v.series_id = u.series_id and v.ts = r.ts and v.kind = 'conflict') as twice
from unnest(%(series)s::int[], %(from)s::timestamptz[], %(to)s::timestamptz[])
    with ordinality as u (series_id, from_ts, to_ts, n)
cross join lateral (
    (select ts from nengliu.reading where series_id = u.series_id and ts < u.from_ts order by ts desc limit %(most)s)
    union all
    (select ts from nengliu.reading where series_id = u.series_id and ts between u.from_ts and u.to_ts)
    union all
    (select ts from nengliu.reading where series_id = u.series_id and ts > u.to_ts order by ts limit %(most)s)) r
