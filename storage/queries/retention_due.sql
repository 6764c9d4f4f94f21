-- The chunks that a floor of at most %(floor)s would let go: how many, from, to, and the end of the newest.
select count(*), min(from_ts), max(to_ts), coalesce(sum(pg_total_relation_size(chunk)), 0)::bigint
from nengliu.reading_chunks(%(floor)s::timestamptz - nengliu.retention_margin())
