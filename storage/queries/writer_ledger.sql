insert into nengliu.ingest_ledger as l
    (day, gateway, outbox, received, stored, repeated, conflicting, rejected, seen)
select day, gateway, outbox, stored + repeated + conflicting + rejected, stored, repeated, conflicting, rejected, seen
from unnest(%(day)s::date[], %(gateway)s::text[], %(outbox)s::text[], %(stored)s::int8[], %(repeated)s::int8[],
            %(conflicting)s::int8[], %(rejected)s::int8[], %(seen)s::int8[])
    as u (day, gateway, outbox, stored, repeated, conflicting, rejected, seen)
order by day, gateway, outbox
on conflict (day, gateway, outbox) do update
set received = l.received + excluded.received,
    stored = l.stored + excluded.stored,
    repeated = l.repeated + excluded.repeated,
    conflicting = l.conflicting + excluded.conflicting,
    rejected = l.rejected + excluded.rejected,
    seen = l.seen + excluded.seen
