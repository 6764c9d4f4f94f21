-- The current value and its receipt of every arriving identity, locked in order of n; packed.
select string_agg(int4send(n) || float8send(value) || timestamptz_send(received_at), '')
from (select a.n, r.value, r.received_at
      from pg_temp.arriving a
      join nengliu.reading r on r.series_id = a.series_id and r.ts = a.ts
      where a.ts >= %(low)s and a.ts < %(high)s and r.ts >= %(low)s and r.ts < %(high)s
      order by a.n
      for update of r) locked
