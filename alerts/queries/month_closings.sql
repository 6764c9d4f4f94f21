-- When readings had closed the steps of all root points of an item that were open at the end of a local day; NULL: not
-- yet of all.
select (k.ix - 1)::int, case when bool_and(f.ts is not null) then max(f.ts) end
from unnest(%(sites)s::int[], %(items)s::text[], %(ends)s::timestamptz[]) with ordinality k (site_id, item_code, ends, ix)
join nengliu.root_span r
    on r.site_id = k.site_id and r.item_code = k.item_code and r.from_ts < k.ends and r.to_ts >= k.ends
join nengliu.installation n
    on n.point_id = r.point_id and n.register = any (%(registers)s::text[])
    and n.installed_at < k.ends and (n.removed_at is null or n.removed_at > k.ends)
left join lateral (
    select d.ts
    from nengliu.reading d
    where d.series_id = (select e.series_id from nengliu.series e where e.meter = n.meter and e.register = n.register)
      and d.ts > k.ends
      and (n.removed_at is null or d.ts < n.removed_at)
    order by d.ts
    limit 1
) f on true
group by k.ix
