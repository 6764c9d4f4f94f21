-- The books of the gateways.
select gateway, sum(stored)::int8, sum(repeated)::int8, sum(conflicting)::int8, sum(rejected)::int8, sum(missing)::int8
from api.ingest_ledger
where gateway = any(%(gateways)s)
group by gateway
