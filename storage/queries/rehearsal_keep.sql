-- Hours of points of sites in a time, kept as they are now.
insert into rehearsal_before
select h.point_id, h.hour, h.consumption, h.estimated, h.covered_s, h.installed_s, h.method
from nengliu.site s
join nengliu.point p using (site_id)
join nengliu.point_hour h using (point_id)
where s.site_code = any (%(codes)s)
  and h.hour >= %(from_ts)s::timestamptz and h.hour <= %(to_ts)s::timestamptz
