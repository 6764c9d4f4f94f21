-- Which points count for which items, alike at every site.
insert into nengliu.root_span (site_id, item_code, point_id, from_ts, to_ts)
select s.site_id, u.item_code, q.point_id,
       timestamptz 'epoch' + %(installed_us)s::bigint * interval '1 microsecond', 'infinity'
from city_site c
join nengliu.site s using (site_code)
cross join unnest(%(item_code)s::text[], %(number)s::int[]) u (item_code, number)
join nengliu.point q on q.point_code = c.site_code || '-' || u.number
