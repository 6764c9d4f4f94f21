-- What is assessed: every two-character item of a site, and every item that has a quota in any year.
-- since: the first day that it can have energy, or the first of the years it has quotas for. parts: the items that it
-- sums, of tce and tco2 the site's two-character ones, but water that no factor turns into energy.
select s.site_code, k.site_id, k.item_code,
       coalesce((select (min(r.from_ts) at time zone nengliu.local_zone())::date
                 from nengliu.root_span r
                 where r.site_id = k.site_id and r.item_code = any (p.parts)), k.first_quota) as since,
       p.parts, s.building_type
from (
    select site_id, item_code, min(first_quota) as first_quota
    from (
        select site_id, item_code, null::date as first_quota
        from nengliu.root_span
        where length(item_code) = 2
        union all
        select site_id, item_code, make_date(year, 1, 1)
        from nengliu.quota
    ) x
    where %(site_codes)s::text[] is null
       or site_id in (select site_id from nengliu.site where site_code = any (%(site_codes)s::text[]))
    group by site_id, item_code
) k
join nengliu.site s using (site_id)
cross join lateral (
    select case when k.item_code not in ('tce', 'tco2') then array[k.item_code]
                else array(select distinct r.item_code
                           from nengliu.root_span r
                           where r.site_id = k.site_id and length(r.item_code) = 2
                             and (r.item_code <> '02' or exists (
                                 select from nengliu.factor f
                                 where f.item_code = r.item_code and f.quantity = k.item_code))
                           order by 1) end as parts
) p
order by s.site_code, k.item_code
