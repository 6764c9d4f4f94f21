-- A site's quotas as they are now.
select q.item_code, q.year, nengliu.item_unit(q.item_code) as unit, q.method, q.base_years, q.reduction_percent,
       q.limit_value as given_value, q.source, q.effective_from, q.approved_by, q.note, q.monthly_plan, q.norm
from nengliu.quota q
join nengliu.site s using (site_id)
where s.site_code = %(site_code)s
order by q.item_code, q.year, q.effective_from
