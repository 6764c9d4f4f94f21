-- Energy of points of sites (none named: of all) in a time, as this transaction sees it; fresh: hours with a newer
-- revision than %(revision)s.
select s.site_code, p.point_code, nengliu.item_unit(p.item_code) as unit, count(*) as hours,
       sum(h.consumption) as consumption, sum(h.estimated) as estimated,
       count(*) filter (where h.revision > %(revision)s) as fresh
from nengliu.site s
join nengliu.point p using (site_id)
join nengliu.point_hour h using (point_id)
where (cardinality(%(codes)s::text[]) = 0 or s.site_code = any (%(codes)s))
  and h.hour >= %(from_ts)s::timestamptz and h.hour <= %(to_ts)s::timestamptz
group by s.site_code, p.point_code, p.item_code
