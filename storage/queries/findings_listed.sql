-- Findings as api.finding has them, with their gateway; lasting: only those that are open and have no end, or whose energy
-- does not count until a person judges them (%(asking)s: their kinds); open: all that are open.
select f.finding_id, s.site_code, p.point_code, f.gateway, f.meter, f.register, f.kind, f.starts, f.ends, f.severity,
       f.state, f.detail, f.found_at
from nengliu.finding f
left join nengliu.point p using (point_id)
left join nengliu.site s on s.site_id = coalesce(f.site_id, p.site_id)
where (not %(lasting)s or (f.state = 'open' and (f.ends is null or f.kind = any (%(asking)s))))
  and (not %(open)s or f.state = 'open')
  and (%(kind)s::text is null or f.kind = %(kind)s)
  and (%(site)s::text is null or s.site_code = %(site)s)
order by array_position(array['critical', 'major', 'warning'], f.severity), f.starts, f.finding_id
limit %(limit)s
