-- Accept what is missing of an outbox as lost, as it is now; what was accepted before stays as it was.
insert into nengliu.outbox_loss (outbox_id, low, high, accepted_by, note)
select g.outbox_id, g.low, g.high, %(by)s, %(note)s
from nengliu.outbox_gap g
join nengliu.outbox o using (outbox_id)
where o.gateway = %(gateway)s and o.outbox is not distinct from %(outbox)s
  and not exists (select from nengliu.outbox_loss l
                  where l.outbox_id = g.outbox_id and l.low <= g.low and g.high <= l.high)
returning low, high
