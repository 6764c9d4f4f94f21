-- What is simulated in this database, and how many gateways that are not simulated sent something into it.
select s.parameters, s.filled_at is not null as filled,
       (select coalesce(sum(readings), 0)::bigint from nengliu.simulation_block where kind = s.kind) as readings,
       (select count(distinct gateway)::int from nengliu.ingest_ledger where not starts_with(gateway, %(simulated)s)) as others
from nengliu.simulation s
where s.kind = %(kind)s
