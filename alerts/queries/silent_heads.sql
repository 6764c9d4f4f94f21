-- Time between an installation without start value and its first reading: no register bounds its energy. While that
-- reading lies beyond the days asked for, it is a silence like any other (silent_tails).
select (k.ix - 1)::int4,
       extract(epoch from greatest(r.from_ts, i.installed_at, %(begins)s::timestamptz))::float8,
       extract(epoch from least(r.to_ts, f.first_ts))::float8
from unnest(%(sites)s::int[], %(items)s::text[]) with ordinality k (site_id, item_code, ix)
join nengliu.root_span r on r.site_id = k.site_id and r.item_code = k.item_code
join nengliu.installation i on i.point_id = r.point_id
cross join lateral (
    select coalesce((select d.ts
                     from nengliu.reading d
                     where d.series_id = (select e.series_id from nengliu.series e
                                          where e.meter = i.meter and e.register = i.register)
                       and d.ts >= i.installed_at and (i.removed_at is null or d.ts < i.removed_at)
                     order by d.ts
                     limit 1), i.removed_at) as first_ts
) f
where i.start_value is null
  and i.register = any (%(totals)s::text[] || %(tariffs)s::text[])
  and i.removed_at is distinct from i.installed_at
  and i.installed_at < %(ends)s::timestamptz
  and f.first_ts > greatest(i.installed_at, %(begins)s::timestamptz)
  and f.first_ts > r.from_ts and i.installed_at < r.to_ts
  and least(r.to_ts, f.first_ts) <= %(ends)s::timestamptz
  and (i.register = any (%(totals)s::text[])
       or not exists (select from nengliu.installation t
                      where t.point_id = i.point_id and t.register = any (%(totals)s::text[])))
