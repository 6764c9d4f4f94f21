-- Readings of a simulated load that are there, each of an identity of its own.
select count(*)
from api.reading
where starts_with(meter, %(prefix)s) and ts >= %(from_ts)s
