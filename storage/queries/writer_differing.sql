-- Of the arriving values those that differ from the current one: n and the current value, packed.
select string_agg(int4send(a.n) || float8send(r.value), '')
from pg_temp.arriving a
join nengliu.reading r on r.series_id = a.series_id and r.ts = a.ts
where r.value <> a.value
  and a.ts >= %(low)s and a.ts < %(high)s and r.ts >= %(low)s and r.ts < %(high)s
