-- Widen outboxes' hulls; their ids and their hulls as they were before (NULL: just made).
insert into nengliu.outbox as o (gateway, outbox, low, high)
select gateway, outbox, low, high
from unnest(%(gateway)s::text[], %(outbox)s::text[], %(low)s::int8[], %(high)s::int8[]) as u (gateway, outbox, low, high)
order by gateway, outbox
on conflict (gateway, outbox) do update
set low = least(o.low, excluded.low), high = greatest(o.high, excluded.high), prior_low = o.low, prior_high = o.high
returning gateway, outbox, outbox_id, prior_low, prior_high
