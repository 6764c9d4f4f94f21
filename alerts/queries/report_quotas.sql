-- Every site, item and year that has a quota, with the limit in force. %(sites)s: site codes.
select distinct on (q.site_code, q.item_code, q.year)
       q.site_code, s.name, s.district_code, s.floor_area_m2, q.item_code, q.unit, q.year, q.limit_value, q.source
from api.quota q
join api.site s using (site_code)
where q.superseded_at is null and q.site_code = any(%(sites)s)
order by q.site_code, q.item_code, q.year, q.effective_from desc
