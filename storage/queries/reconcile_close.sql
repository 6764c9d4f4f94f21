-- Close days that are over and were found whole, as they stand in this transaction.
insert into nengliu.ledger_closing (day, received, rejected, seen)
select day, sum(received), sum(rejected), sum(seen)
from nengliu.ingest_ledger
where day = any(%(days)s) and day < (clock_timestamp() at time zone nengliu.local_zone())::date
group by day
order by day
on conflict (day) do update
set received = excluded.received, rejected = excluded.rejected, seen = excluded.seen, closed_at = excluded.closed_at
returning day
