-- Use of base years. covered_s and installed_s sum the root points; whole_s: the year; any_s: time of the year with
-- any root point installed. open_*: of a step that is open at the year's end; closed_at: when readings had closed it.
-- Of tce and tco2 one row for each part (as in assessed_series.sql), in tonnes; unknown: no factor covers a day's use.
select k.site_id, k.item_code, k.year,
       coalesce(case when k.total then t.tonnes else p.consumption end, 0) as consumption,
       coalesce(t.unknown, false) as unknown,
       coalesce(p.covered_s, 0) as covered_s,
       coalesce(i.installed_s, 0) as installed_s, coalesce(i.any_s, 0) as any_s,
       extract(epoch from y.ends - y.begins)::float8 as whole_s,
       coalesce(o.consumption * case when k.total then t.last_factor else 1 end, 0) as open_energy,
       coalesce(o.covered_s, 0) as open_covered_s,
       c.closed_at
from (
    select u.*, u.item_code in ('tce', 'tco2') as total
    from unnest(%(sites)s::int[], %(items)s::text[], %(years)s::int[]) u (site_id, item_code, year)
) k
cross join lateral (
    select (make_date(k.year, 1, 1)::timestamp at time zone nengliu.local_zone()) as begins,
           (make_date(k.year + 1, 1, 1)::timestamp at time zone nengliu.local_zone()) as ends
) y
cross join lateral (
    select k.item_code as part
    where not k.total
    union all
    select distinct r.item_code
    from nengliu.root_span r
    where k.total and r.site_id = k.site_id and length(r.item_code) = 2
      and (r.item_code <> '02' or exists (
          select from nengliu.factor f where f.item_code = r.item_code and f.quantity = k.item_code))
) a
left join nengliu.site_period p
    on p.grain = 'year' and p.site_id = k.site_id and p.item_code = a.part and p.period = make_date(k.year, 1, 1)
left join lateral (
    select sum(d.consumption * f.value order by d.period) as tonnes,
           bool_or(f.value is null and d.consumption <> 0) as unknown,
           max(f.value) filter (where d.period = make_date(k.year, 12, 31)) as last_factor
    from nengliu.site_period d
    left join nengliu.factor f
        on f.item_code = a.part and f.quantity = k.item_code and f.valid_from <= d.period and d.period + 1 <= f.valid_to
    where k.total and d.grain = 'day' and d.site_id = k.site_id and d.item_code = a.part
      and d.period between make_date(k.year, 1, 1) and make_date(k.year, 12, 31)
) t on true
left join lateral (
    select sum(extract(epoch from least(r.to_ts, y.ends) - greatest(r.from_ts, y.begins)))::float8 as installed_s,
           (select sum(extract(epoch from upper(u) - lower(u)))::float8
            from unnest(range_agg(tstzrange(greatest(r.from_ts, y.begins), least(r.to_ts, y.ends)))) u) as any_s
    from nengliu.root_span r
    where r.site_id = k.site_id and r.item_code = a.part and r.from_ts < y.ends and r.to_ts > y.begins
) i on true
left join nengliu.site_day_open o
    on o.site_id = k.site_id and o.item_code = a.part and o.day = make_date(k.year, 12, 31)
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
    where o.day is not null and r.site_id = k.site_id and r.item_code = a.part
      and r.from_ts < y.ends and r.to_ts >= y.ends
      and n.installed_at < y.ends and (n.removed_at is null or n.removed_at > y.ends)
) c on true
where k.total or p.site_id is not null
order by k.site_id, k.item_code, k.year, a.part
