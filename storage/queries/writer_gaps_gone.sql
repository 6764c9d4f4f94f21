delete from nengliu.outbox_gap g
using unnest(%(outbox_id)s::int8[], %(low)s::int8[]) as u (outbox_id, low)
where g.outbox_id = u.outbox_id and g.low = u.low
