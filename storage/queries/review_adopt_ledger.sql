-- A conflict that a person adopts counts as stored, as a correction does.
update nengliu.ingest_ledger l
set stored = l.stored + 1, conflicting = l.conflicting - 1
where l.ctid = (
    select ctid from nengliu.ingest_ledger
    where day = (%(received_at)s::timestamptz at time zone nengliu.local_zone())::date and gateway = %(gateway)s
      and conflicting > 0
    order by outbox limit 1 for update)
