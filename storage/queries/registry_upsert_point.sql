-- Parents follow in registry_set_parents.sql, when every point is there.
insert into nengliu.point as p (point_code, site_id, item_code, name, rated_per_hour)
select u.point_code, s.site_id, u.item_code, u.name, u.rated_per_hour
from unnest(%(point_code)s::text[], %(site_code)s::text[], %(item_code)s::text[], %(name)s::text[],
            %(rated_per_hour)s::float8[]) as u (point_code, site_code, item_code, name, rated_per_hour)
join nengliu.site s using (site_code)
on conflict (point_code) do update
set site_id = excluded.site_id, item_code = excluded.item_code, name = excluded.name,
    rated_per_hour = excluded.rated_per_hour
