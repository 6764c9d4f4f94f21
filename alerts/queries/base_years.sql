-- Use of base years. covered_s and installed_s sum the root points; whole_s: the year; any_s: time of the year with
-- any root point installed. open_*: of a step that is open at the year's end; closed_at: when readings had closed it.
select k.site_id, k.item_code, k.year,
       p.consumption, p.covered_s,
       coalesce(i.installed_s, 0) as installed_s, coalesce(i.any_s, 0) as any_s,
       extract(epoch from y.ends - y.begins)::float8 as whole_s,
       coalesce(o.consumption, 0) as open_energy, coalesce(o.covered_s, 0) as open_covered_s,
       c.closed_at
from unnest(%(sites)s::int[], %(items)s::text[], %(years)s::int[]) k (site_id, item_code, year)
cross join lateral (
    select (make_date(k.year, 1, 1)::timestamp at time zone nengliu.local_zone()) as begins,
           (make_date(k.year + 1, 1, 1)::timestamp at time zone nengliu.local_zone()) as ends
) y
join nengliu.site_period p
    on p.grain = 'year' and p.site_id = k.site_id and p.item_code = k.item_code and p.period = make_date(k.year, 1, 1)
left join lateral (
    select sum(extract(epoch from least(r.to_ts, y.ends) - greatest(r.from_ts, y.begins)))::float8 as installed_s,
           (select sum(extract(epoch from upper(u) - lower(u)))::float8
            from unnest(range_agg(tstzrange(greatest(r.from_ts, y.begins), least(r.to_ts, y.ends)))) u) as any_s
    from nengliu.root_span r
    where r.site_id = k.site_id and r.item_code = k.item_code and r.from_ts < y.ends and r.to_ts > y.begins
) i on true
left join nengliu.site_day_open o
    on o.site_id = k.site_id and o.item_code = k.item_code and o.day = make_date(k.year, 12, 31)
left join lateral (
    select max(f.ts) as closed_at
    from nengliu.root_span r
    join nengliu.installation n on n.point_id = r.point_id and n.register = any (%(registers)s::text[])
    cross join lateral (
        select d.ts
        from nengliu.reading d
        where d.series_id = (select e.series_id from nengliu.series e
                             where e.meter = n.meter and e.register = n.register)
          and d.ts > y.ends
          and (n.removed_at is null or d.ts < n.removed_at)
        order by d.ts
        limit 1
    ) f
    where o.day is not null and r.site_id = k.site_id and r.item_code = k.item_code
      and r.from_ts < y.ends and r.to_ts >= y.ends
      and n.installed_at < y.ends and (n.removed_at is null or n.removed_at > y.ends)
) c on true
