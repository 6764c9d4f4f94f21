-- One row a rejected value; a resend by an outbox, the same bytes under the same seq, adds none.
insert into nengliu.reject
    (received_at, gateway, outbox, seq, source_topic, user_properties, reason, detail, payload, meter)
select u.received_at, u.gateway, u.outbox, u.seq, u.source_topic, u.user_properties, u.reason, u.detail, u.payload,
       u.meter
from unnest(%(received_at)s::timestamptz[], %(gateway)s::text[], %(outbox)s::text[], %(seq)s::int8[],
            %(source_topic)s::text[], %(user_properties)s::jsonb[], %(reason)s::text[], %(detail)s::text[],
            %(payload)s::bytea[], %(meter)s::text[])
    as u (received_at, gateway, outbox, seq, source_topic, user_properties, reason, detail, payload, meter)
