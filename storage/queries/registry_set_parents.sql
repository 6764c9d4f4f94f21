update nengliu.point p
set parent_point_id = parent.point_id
from unnest(%(point_code)s::text[], %(parent_point_code)s::text[]) as u (point_code, parent_point_code)
left join nengliu.point parent on parent.point_code = u.parent_point_code
where p.point_code = u.point_code and p.parent_point_id is distinct from parent.point_id
