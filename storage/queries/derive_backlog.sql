-- How many changes wait, and for how many seconds the oldest has.
select count(*), coalesce(extract(epoch from clock_timestamp() - min(marked_at)), 0)::float8
from nengliu.change
