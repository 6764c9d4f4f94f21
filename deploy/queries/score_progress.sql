-- What is still to do for a score: marks not derived, days not looked at for changes of level, times not looked through
-- for silences, stamps not looked at; and what came in of the gateways so far.
select (select count(*) from nengliu.change) + (select count(*) from nengliu.level_due)
           + (select count(*) from nengliu.silence_due)
           + (select count(*) from nengliu.stamp_doubt where looked_at is null) as changes,
       (select coalesce(sum(received), 0)::int8 from api.ingest_ledger where gateway = any (%(gateways)s)) as received
