-- Which of the values (n) are in api.reject already: same gateway, outbox, seq, reason and bytes.
select u.n
from unnest(%(n)s::int4[], %(gateway)s::text[], %(outbox)s::text[], %(seq)s::int8[], %(reason)s::text[],
            %(payload)s::bytea[]) as u (n, gateway, outbox, seq, reason, payload)
where exists (select 1 from nengliu.reject r
              where r.gateway = u.gateway and r.outbox = u.outbox and r.seq = u.seq
                and r.reason = u.reason and r.payload = u.payload)
   or u.outbox is null
      and exists (select 1 from nengliu.reject r
                  where r.gateway = u.gateway and r.outbox is null and r.seq = u.seq
                    and r.reason = u.reason and r.payload = u.payload)
