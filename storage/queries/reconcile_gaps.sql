select g.noticed_on, o.gateway, o.outbox, g.low, g.high
from nengliu.outbox_gap g
join nengliu.outbox o using (outbox_id)
where g.noticed_on = any(%(days)s)
order by g.noticed_on, o.gateway, o.outbox nulls first, g.low
