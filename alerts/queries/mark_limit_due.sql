insert into nengliu.assessment_due (site_id, item_code, year)
select s.site_id, u.item_code, u.year
from unnest(%(sites)s::text[], %(items)s::text[], %(years)s::int[]) u (site_code, item_code, year)
join nengliu.site s using (site_code)
