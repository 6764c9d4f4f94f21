insert into nengliu.outbox_gap (outbox_id, low, high, noticed_on)
select outbox_id, low, high, noticed_on
from unnest(%(outbox_id)s::int8[], %(low)s::int8[], %(high)s::int8[], %(noticed_on)s::date[])
    as u (outbox_id, low, high, noticed_on)
