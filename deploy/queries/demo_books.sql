-- What the books say of the demonstration's gateways, in values.
select coalesce(sum(received), 0)::bigint as received, coalesce(sum(stored), 0)::bigint as stored,
       coalesce(sum(repeated), 0)::bigint as repeated, coalesce(sum(conflicting), 0)::bigint as conflicting,
       coalesce(sum(rejected), 0)::bigint as rejected
from api.ingest_ledger
where gateway = any(%(gateways)s)
