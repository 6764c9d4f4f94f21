-- In microseconds since 1970, without bound as -2^62.
select case when floor_ts = '-infinity' then -4611686018427387904
            else (extract(epoch from floor_ts) * 1000000)::bigint end
from nengliu.retention
