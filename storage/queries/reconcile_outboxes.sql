-- The ledger of some days, with the smallest and greatest number that each outbox ever showed.
select l.day, l.gateway, l.outbox, o.low as first_seq, o.high as last_seq, l.seen, l.received, l.stored, l.repeated,
       l.conflicting, l.rejected
from nengliu.ingest_ledger l
left join nengliu.outbox o on o.gateway = l.gateway and coalesce(o.outbox, '') = coalesce(l.outbox, '')
                          and (o.outbox is null) = (l.outbox is null)
where l.day = any(%(days)s)
order by l.day, l.gateway, l.outbox nulls first
