-- Which of the values (n) are in api.reject already: same gateway, outbox, seq, reason and bytes, as often (nth) as that.
select u.n
from unnest(%(n)s::int4[], %(nth)s::int4[], %(gateway)s::text[], %(outbox)s::text[], %(seq)s::int8[], %(reason)s::text[],
            %(payload)s::bytea[]) as u (n, nth, gateway, outbox, seq, reason, payload)
where u.nth <= case when u.outbox is null
    then (select count(*) from nengliu.reject r
          where r.gateway = u.gateway and r.outbox is null and r.seq = u.seq
            and r.reason = u.reason and r.payload = u.payload)
    else (select count(*) from nengliu.reject r
          where r.gateway = u.gateway and r.outbox = u.outbox and r.seq = u.seq
            and r.reason = u.reason and r.payload = u.payload)
end
