-- Hours of points that were measured wholly; hours since 1970.
select h.point_id, (extract(epoch from h.hour)::int8 / 3600)::int4, h.consumption
from nengliu.point_hour h
where h.point_id = any (%(points)s) and h.hour >= %(from_ts)s and h.hour < %(to_ts)s
  and h.estimated = 0 and h.covered_s > 3599 and h.method = 0
