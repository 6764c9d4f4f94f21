-- The nearest good reading before and after each run of readings.
select u.n, b.ts, b.value, a.ts, a.value
from unnest(%(n)s::int4[], %(series)s::int4[], %(starts)s::timestamptz[], %(last)s::timestamptz[])
    as u (n, series_id, starts, last)
left join lateral (
    select r.ts, r.value from nengliu.reading r
    where r.series_id = u.series_id and r.ts < u.starts
      and not exists (select from nengliu.reading_doubt d where d.series_id = r.series_id and d.ts = r.ts)
    order by r.ts desc limit 1) b on true
left join lateral (
    select r.ts, r.value from nengliu.reading r
    where r.series_id = u.series_id and r.ts > u.last
      and not exists (select from nengliu.reading_doubt d where d.series_id = r.series_id and d.ts = r.ts)
    order by r.ts limit 1) a on true
