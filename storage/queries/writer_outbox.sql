-- Widen outboxes' hulls; their ids and their hulls as they were before (NULL: just made).
insert into nengliu.outbox as o (gateway, outbox, low, high, first_ts, last_ts)
select gateway, outbox, low, high, first_ts, last_ts
from unnest(%(gateway)s::text[], %(outbox)s::text[], %(low)s::int8[], %(high)s::int8[], %(first_ts)s::timestamptz[],
            %(last_ts)s::timestamptz[]) as u (gateway, outbox, low, high, first_ts, last_ts)
order by gateway, outbox
on conflict (gateway, outbox) do update
set low = least(o.low, excluded.low), high = greatest(o.high, excluded.high), prior_low = o.low, prior_high = o.high,
    first_ts = case when excluded.low < o.low then coalesce(excluded.first_ts, o.first_ts) else o.first_ts end,
    last_ts = case when excluded.high > o.high then coalesce(excluded.last_ts, o.last_ts) else o.last_ts end
returning gateway, outbox, outbox_id, prior_low, prior_high
