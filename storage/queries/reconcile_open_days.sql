-- Local days that are not closed: never found whole, changed since, or with a gap that is not accepted as lost.
select d.day
from (select day, sum(received) as received, sum(rejected) as rejected, sum(seen) as seen
      from nengliu.ingest_ledger group by day) d
left join nengliu.ledger_closing c
    on c.day = d.day and c.received = d.received and c.rejected = d.rejected and c.seen = d.seen
where c.day is null
   or exists (select from nengliu.outbox_gap g
              where g.noticed_on = d.day
                and not exists (select from nengliu.outbox_loss l
                                where l.outbox_id = g.outbox_id and l.low <= g.low and g.high <= l.high))
order by d.day
