select p.point_code, s.site_code, p.item_code, p.name, parent.point_code as parent_point_code, p.rated_per_hour
from nengliu.point p
join nengliu.site s using (site_id)
left join nengliu.point parent on parent.point_id = p.parent_point_id
order by p.point_code
