-- Values of the gateways in the books so far.
select coalesce(sum(received), 0)::int8 from nengliu.ingest_ledger where gateway = any(%(gateways)s)
