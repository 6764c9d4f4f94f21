-- For each (series, day): since when each root point that is installed at the day's end has had no reading, as of
-- that end; its id, and how often its total register should be read in s, 0 where it has none that was ever read. Where a
-- total register is installed the tariff registers do not matter. hindsight: as of now instead, so that a later reading,
-- or the value at removal, ends the silence.
select k.ix::int4, k.day_ix::int4,
       extract(epoch from last.since)::float8, extract(epoch from k.day_end)::float8,
       r.point_id, coalesce(last.interval_s, 0)::float8
from unnest(%(ixs)s::int[], %(sites)s::int[], %(items)s::text[], %(day_ixs)s::int[], %(day_ends)s::timestamptz[])
     k (ix, site_id, item_code, day_ix, day_end)
join nengliu.root_span r
    on r.site_id = k.site_id and r.item_code = k.item_code and r.from_ts < k.day_end and r.to_ts >= k.day_end
cross join lateral (
    select coalesce(min(x.since) filter (where x.total), min(x.since)) as since,
           min(x.interval_s) filter (where x.total and x.begun) as interval_s
    from (
        select i.register = any (%(totals)s::text[]) as total, i.interval_s,
               before.ts is not null or i.start_value is not null as begun,
               case when %(hindsight)s::boolean and (before.ts is not null or i.start_value is not null) and (
                        (i.end_value is not null and i.removed_at <= now())
                        or exists (select
                                   from nengliu.reading d
                                   where d.series_id = e.series_id and d.ts > k.day_end
                                     and (i.removed_at is null or d.ts < i.removed_at)))
                    then k.day_end
                    else coalesce(before.ts, i.installed_at) end as since
        from nengliu.installation i
        left join nengliu.series e using (meter, register)
        left join lateral (
            select d.ts
            from nengliu.reading d
            where d.series_id = e.series_id and d.ts <= k.day_end and d.ts >= i.installed_at
            order by d.ts desc
            limit 1
        ) before on true
        where i.point_id = r.point_id
          and i.register = any (%(totals)s::text[] || %(tariffs)s::text[])
          and i.installed_at < k.day_end
          and (i.removed_at is null or (i.removed_at >= k.day_end and i.removed_at > i.installed_at))
    ) x
) last
where last.since < k.day_end
