-- The newest day that was assessed of series and years.
select k.site_id, k.item_code, k.year, a.as_of
from unnest(%(sites)s::int[], %(items)s::text[], %(years)s::int[]) k (site_id, item_code, year)
cross join lateral (
    select n.as_of
    from nengliu.quota_assessment n
    where n.site_id = k.site_id and n.item_code = k.item_code and n.year = k.year
    order by n.as_of desc
    limit 1
) a
