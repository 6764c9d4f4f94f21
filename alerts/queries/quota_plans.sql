-- Quotas of sites and years of which any version has, or had, a monthly plan, with every version of their limits, in the
-- order in which later ones replace earlier ones.
with planned as (
    select distinct q.site_id, q.item_code, q.year
    from nengliu.quota q
    join nengliu.quota_limit l using (quota_id)
    where q.site_id = any (%(sites)s::int[]) and q.year = any (%(years)s::int[]) and l.months is not null
)
select q.site_id, q.item_code, q.year, q.effective_from, l.quota_limit_id, l.months,
       coalesce((l.basis ->> 'given')::boolean, false) as given, l.recorded_at, l.superseded_at
from planned
join nengliu.quota q using (site_id, item_code, year)
left join nengliu.quota_limit l using (quota_id)
order by q.site_id, q.item_code, q.year, q.effective_from, l.quota_limit_id
