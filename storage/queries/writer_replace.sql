update nengliu.reading r
set value = a.value, received_at = a.received_at
from pg_temp.arriving a
where r.series_id = a.series_id and r.ts = a.ts
  and a.ts >= %(low)s and a.ts < %(high)s and r.ts >= %(low)s and r.ts < %(high)s
