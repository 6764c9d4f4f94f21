-- Findings of some kinds and subjects that nobody withdrew or refused.
select f.finding_id, f.kind, f.about as subject, f.starts, f.ends, f.state = 'accepted' as accepted, s.site_id, s.site_code,
       s.building_type, f.gateway, f.detail
from (
    select o.*, p.site_id as site_of_point, coalesce(o.subject, o.meter, p.point_code) as about
    from nengliu.finding o
    left join nengliu.point p using (point_id)
) f
left join nengliu.site s on s.site_id = coalesce(f.site_id, f.site_of_point)
where f.kind = any (%(kinds)s) and f.state in ('open', 'accepted')
  and case when %(by_gateway)s and f.gateway is not null then f.gateway else f.about end = any (%(subjects)s)
order by f.starts, f.finding_id
