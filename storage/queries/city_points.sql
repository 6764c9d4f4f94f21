-- The points of one level below the sites' own; those above are there already.
insert into nengliu.point (point_code, site_id, item_code, name, parent_point_id, rated_per_hour)
select c.site_code || '-' || p.number, s.site_id, p.item_code, p.name, above.point_id, r.rated_per_hour
from city_register r
join city_site c using (site_n)
join city_point p using (number)
join nengliu.site s using (site_code)
left join nengliu.point above on above.point_code = c.site_code || '-' || p.parent
where p.level = %(level)s
order by r.site_n, r.number
