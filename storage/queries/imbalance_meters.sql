-- Installed registers of totals and of their sub-meters: what their displays count in, and when.
select t.point_id, t.point_code, t.item_code, m.point_id = t.point_id, i.meter, i.model, i.unit, i.ratio, i.decimals,
       i.installed_at, i.removed_at
from nengliu.point t
join nengliu.point m on m.point_id = t.point_id
    or (m.parent_point_id = t.point_id and starts_with(m.item_code, t.item_code))
join nengliu.installation i on i.point_id = m.point_id
where t.point_id = any (%(totals)s) and i.removed_at is distinct from i.installed_at and i.register = any (%(registers)s)
order by t.point_id, i.installed_at
