-- {lock}: "" or "for update"; the bounds let the planner leave out every chunk outside of them.
select a.n, r.value
from (select n, series_id, ts from pg_temp.arriving where ts >= {low} and ts < {high} order by n) a
cross join lateral (
    select r.value from nengliu.reading r
    where r.series_id = a.series_id and r.ts = a.ts and r.ts >= {low} and r.ts < {high}
    {lock}
    offset 0
) r
