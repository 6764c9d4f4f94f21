-- Quotas whose terms changed are to be computed and assessed again.
insert into nengliu.assessment_due (site_id, item_code, year, terms)
select distinct s.site_id, u.item_code, u.year, true
from unnest(%(site_code)s::text[], %(item_code)s::text[], %(year)s::int4[]) u (site_code, item_code, year)
join nengliu.site s using (site_code)
