-- Hours of points that have no step any more.
delete from nengliu.point_hour h
using unnest(%(point_id)s::int4[], %(hour)s::timestamptz[]) g (point_id, hour)
where h.point_id = g.point_id and h.hour = g.hour
  and h.hour >= %(from_ts)s::timestamptz and h.hour < %(to_ts)s::timestamptz
