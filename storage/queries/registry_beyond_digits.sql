-- The first reading within each row's time that its digits cannot show, and how many there are; nth counts from 1.
-- Readings in doubt, or refused by a person, are left out.
select u.nth, f.ts, f.value, f.found
from unnest(%(meter)s::text[], %(register)s::text[], %(installed)s::timestamptz[], %(removed)s::timestamptz[],
            %(bound)s::float8[]) with ordinality as u (meter, register, installed, removed, bound, nth)
join nengliu.series s using (meter, register)
cross join lateral (
    select r.ts, r.value, count(*) over () as found
    from nengliu.reading r
    where r.series_id = s.series_id and r.ts >= u.installed and r.ts < coalesce(u.removed, 'infinity')
      and r.value >= u.bound
      and not exists (select from nengliu.reading_doubt d where d.series_id = r.series_id and d.ts = r.ts)
      and coalesce((select v.verdict from nengliu.reading_review v
                    where v.series_id = r.series_id and v.ts = r.ts and v.value = r.value
                    order by v.review_id desc limit 1), 'open') <> 'refused'
    order by r.ts
    limit 1
) f
order by u.nth
