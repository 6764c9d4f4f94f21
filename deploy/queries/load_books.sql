-- What the ledger says of all simulated loads.
select coalesce(sum(received), 0)::bigint, coalesce(sum(stored), 0)::bigint, coalesce(sum(repeated), 0)::bigint,
       coalesce(sum(conflicting), 0)::bigint, coalesce(sum(rejected), 0)::bigint
from api.ingest_ledger
where starts_with(gateway, %(prefix)s)
