-- Findings of some kinds and subjects that nobody withdrew or refused.
select f.finding_id, f.kind, f.subject, f.starts, f.ends, f.state = 'accepted' as accepted, s.site_id, s.site_code,
       f.gateway, f.detail
from nengliu.finding f
left join nengliu.point p using (point_id)
left join nengliu.site s on s.site_id = coalesce(f.site_id, p.site_id)
where f.kind = any (%(kinds)s) and f.state in ('open', 'accepted')
  and case when %(by_gateway)s and f.gateway is not null then f.gateway else f.subject end = any (%(subjects)s)
order by f.starts, f.finding_id
