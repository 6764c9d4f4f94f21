-- When the assessment of a day that says so much used of such a limit was written first.
select min(a.assessed_at)
from nengliu.quota_assessment a
join nengliu.site s using (site_id)
where s.site_code = %(site)s and a.item_code = %(item)s and a.as_of = %(as_of)s and a.used = %(used)s
  and a.limit_value is not distinct from %(limit)s
