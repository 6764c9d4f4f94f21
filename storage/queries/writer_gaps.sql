-- The gaps that stretches of numbers touch: those that begin inside, and the last that begins before.
select distinct u.outbox_id, g.low, g.high, g.noticed_on
from unnest(%(outbox_id)s::int8[], %(low)s::int8[], %(high)s::int8[]) as u (outbox_id, low, high)
cross join lateral (
    select low, high, noticed_on from nengliu.outbox_gap i
    where i.outbox_id = u.outbox_id and i.low >= u.low and i.low <= u.high
    union all
    (select low, high, noticed_on from nengliu.outbox_gap b
     where b.outbox_id = u.outbox_id and b.low < u.low
     order by b.low desc limit 1)
) g
where g.high >= u.low
order by u.outbox_id, g.low
