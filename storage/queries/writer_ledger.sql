insert into nengliu.ingest_ledger as l (day, gateway, received, stored, repeated, conflicting, rejected)
select day, gateway, stored + repeated + conflicting + rejected, stored, repeated, conflicting, rejected
from unnest(%(day)s::date[], %(gateway)s::text[], %(stored)s::int8[], %(repeated)s::int8[],
            %(conflicting)s::int8[], %(rejected)s::int8[])
    as u (day, gateway, stored, repeated, conflicting, rejected)
order by day, gateway
on conflict (day, gateway) do update
set received = l.received + excluded.received,
    stored = l.stored + excluded.stored,
    repeated = l.repeated + excluded.repeated,
    conflicting = l.conflicting + excluded.conflicting,
    rejected = l.rejected + excluded.rejected
