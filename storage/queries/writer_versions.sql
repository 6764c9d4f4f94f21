-- Other values of the arriving identities: n and value, packed.
select string_agg(int4send(a.n) || float8send(v.value), '')
from pg_temp.arriving a
join nengliu.reading_version v on v.series_id = a.series_id and v.ts = a.ts
