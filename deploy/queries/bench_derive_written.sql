-- Rows inserted, updated and deleted so far, by table; of a hypertable with those of its chunks.
select coalesce(c.hypertable_name, t.relname) as name,
       sum(t.n_tup_ins)::int8, sum(t.n_tup_upd)::int8, sum(t.n_tup_del)::int8
from pg_stat_user_tables t
left join timescaledb_information.chunks c on c.chunk_schema = t.schemaname and c.chunk_name = t.relname
where t.schemaname = 'nengliu' or c.hypertable_schema = 'nengliu'
group by 1
