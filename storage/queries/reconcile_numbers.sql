-- Outboxes of some days of which the numbers that all days saw for the first time are not those between its smallest
-- and greatest number without its gaps.
with touched as (
    select distinct o.outbox_id, o.gateway, o.outbox, o.low, o.high
    from nengliu.outbox o
    join nengliu.ingest_ledger l on l.gateway = o.gateway and coalesce(l.outbox, '') = coalesce(o.outbox, '')
                                and (l.outbox is null) = (o.outbox is null)
    where l.day = any(%(days)s)
)
select t.gateway, t.outbox, t.high::numeric - t.low + 1 - g.missing as expected, b.seen
from touched t
cross join lateral (select coalesce(sum(high::numeric - low + 1), 0) as missing
                    from nengliu.outbox_gap where outbox_id = t.outbox_id) g
cross join lateral (select coalesce(sum(seen), 0) as seen from nengliu.ingest_ledger l
                    where l.gateway = t.gateway and l.outbox is not distinct from t.outbox) b
where t.high::numeric - t.low + 1 - g.missing <> b.seen
order by t.gateway, t.outbox nulls first
