-- The points of a site: item, parent, the newest meter that counts, the longest interval between its readings in s, and
-- whether it sends instant values.
select p.point_id, p.point_code, left(p.item_code, 2) as item, p.parent_point_id,
       (select i.meter from nengliu.installation i
        where i.point_id = p.point_id and i.removed_at is distinct from i.installed_at
          and i.register <> all (%(instants)s)
        order by i.installed_at desc limit 1) as meter,
       coalesce((select max(i.interval_s) from nengliu.installation i
                 where i.point_id = p.point_id and i.removed_at is distinct from i.installed_at), 0) as interval_s,
       exists (select from nengliu.installation i
               where i.point_id = p.point_id and i.register = any (%(instants)s)) as instants
from nengliu.point p
where p.site_id = %(site)s
order by p.point_id
