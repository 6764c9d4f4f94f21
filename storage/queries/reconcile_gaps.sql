-- The gaps of some days; lost: a person accepted them as lost.
select g.noticed_on, o.gateway, o.outbox, g.low, g.high,
       exists (select from nengliu.outbox_loss l
               where l.outbox_id = g.outbox_id and l.low <= g.low and g.high <= l.high) as lost
from nengliu.outbox_gap g
join nengliu.outbox o using (outbox_id)
where g.noticed_on = any(%(days)s)
order by g.noticed_on, o.gateway, o.outbox nulls first, g.low
