-- Every quota with the version of its limit that is in force.
select q.quota_id, q.site_id, s.site_code, q.item_code, q.year, q.limit_value, q.method, q.base_years,
       q.reduction_percent, q.source, q.effective_from, q.approved_by, q.note, q.monthly_plan, q.norm,
       s.building_type, s.floor_area_m2,
       l.quota_limit_id, l.limit_value as current_value, coalesce((l.basis ->> 'given')::boolean, false) as given,
       l.basis as current_basis, l.months as current_months, l.method as current_method, l.source as current_source,
       l.approved_by as current_approved_by, l.note as current_note, l.recorded_at
from nengliu.quota q
join nengliu.site s using (site_id)
left join nengliu.quota_limit l on l.quota_id = q.quota_id and l.superseded_at is null
where %(site_codes)s::text[] is null or s.site_code = any (%(site_codes)s::text[])
order by s.site_code, q.item_code, q.year, q.effective_from
