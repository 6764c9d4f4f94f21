-- The ledger of a city's gateways, as if they had sent every reading when it was taken, and that they send no more.
with gateways as (
    select distinct gateway from nengliu.installation
), said as (
    insert into nengliu.gateway (gateway, state, since, last_reading, final)
    select gateway, 'offline', timestamptz 'epoch' + %(last_us)s::bigint * interval '1 microsecond',
           timestamptz 'epoch' + %(last_us)s::bigint * interval '1 microsecond', true
    from gateways
)
insert into nengliu.ingest_ledger (day, gateway, outbox, received, stored)
select d.day, g.gateway, %(outbox)s, d.readings, d.readings
from gateways g
cross join unnest(%(days)s::date[], %(readings)s::bigint[]) d (day, readings)
