select a.n, v.value
from pg_temp.arriving a
cross join lateral (
    select v.value from nengliu.reading_version v
    where v.series_id = a.series_id and v.ts = a.ts
    offset 0
) v
