-- base_years, monthly_plan: as text of an array.
insert into nengliu.quota as q
    (site_id, item_code, year, limit_value, method, base_years, reduction_percent, source, effective_from, approved_by,
     note, monthly_plan, norm)
select s.site_id, u.item_code, u.year, u.limit_value, u.method, u.base_years::int[], u.reduction_percent, u.source,
       u.effective_from, u.approved_by, u.note, u.monthly_plan::float8[], u.norm
from unnest(%(site_code)s::text[], %(item_code)s::text[], %(year)s::int4[], %(limit_value)s::float8[],
            %(method)s::text[], %(base_years)s::text[], %(reduction_percent)s::float8[], %(source)s::text[],
            %(effective_from)s::date[], %(approved_by)s::text[], %(note)s::text[], %(monthly_plan)s::text[],
            %(norm)s::text[])
    as u (site_code, item_code, year, limit_value, method, base_years, reduction_percent, source, effective_from,
          approved_by, note, monthly_plan, norm)
join nengliu.site s using (site_code)
on conflict (site_id, item_code, year, effective_from) do update
set limit_value = excluded.limit_value, method = excluded.method, base_years = excluded.base_years,
    reduction_percent = excluded.reduction_percent, source = excluded.source, approved_by = excluded.approved_by,
    note = excluded.note, monthly_plan = excluded.monthly_plan, norm = excluded.norm
