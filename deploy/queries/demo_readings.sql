-- Every stored reading of one meter, by time: microseconds since the epoch, value.
select (extract(epoch from ts) * 1000000)::bigint as ts_us, value
from api.reading
where meter = %(meter)s and register = '1.8.0'
order by ts
