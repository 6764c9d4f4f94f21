select s.site_code, q.item_code, q.year, q.limit_value, q.method, q.base_years, q.reduction_percent, q.source,
       q.effective_from, q.approved_by, q.note, q.monthly_plan, q.norm
from nengliu.quota q join nengliu.site s using (site_id)
order by s.site_code, q.item_code, q.year, q.effective_from
