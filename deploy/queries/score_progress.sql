-- What is still to do for a score: marks not derived, days not looked at for changes of level, times not looked through
-- for silences; and what came in of the gateways so far.
select (select count(*) from nengliu.change) + (select count(*) from nengliu.level_due)
           + (select count(*) from nengliu.silence_due) as changes,
       (select coalesce(sum(received), 0)::int8 from api.ingest_ledger where gateway = any (%(gateways)s)) as received
