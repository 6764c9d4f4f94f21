-- Quotas of sites and years with every version of their limits, in the order in which later ones replace earlier ones.
select q.site_id, q.item_code, q.year, q.effective_from, l.quota_limit_id, l.months,
       coalesce((l.basis ->> 'given')::boolean, false) as given, l.recorded_at, l.superseded_at
from nengliu.quota q
left join nengliu.quota_limit l using (quota_id)
where q.site_id = any (%(sites)s::int[]) and q.year = any (%(years)s::int[])
order by q.site_id, q.item_code, q.year, q.effective_from, l.recorded_at, l.quota_limit_id
