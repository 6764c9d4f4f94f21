-- What is assessed: every two-character item of a site, and every item that has a quota in any year.
-- since: the first day that it can have energy, or the first of the years it has quotas for.
select s.site_code, k.site_id, k.item_code, min(k.since) as since
from (
    select site_id, item_code, (from_ts at time zone nengliu.local_zone())::date as since
    from nengliu.root_span
    where length(item_code) = 2
    union all
    select q.site_id, q.item_code,
           coalesce((select (min(r.from_ts) at time zone nengliu.local_zone())::date
                     from nengliu.root_span r
                     where r.site_id = q.site_id and r.item_code = q.item_code),
                    make_date(q.year, 1, 1))
    from nengliu.quota q
    where q.item_code not in ('tce', 'tco2')
) k
join nengliu.site s using (site_id)
where %(site_codes)s::text[] is null or s.site_code = any (%(site_codes)s::text[])
group by s.site_code, k.site_id, k.item_code
order by s.site_code, k.item_code
