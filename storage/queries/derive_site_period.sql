-- Touched months (or years) of sites and items: sums of their days (or months).
with fresh as materialized (
    select f.*,
        (select coalesce(sum(l.points * extract(epoch from least(l.to_ts, b.ends) - greatest(l.from_ts, b.begins))), 0)
         from derive_root_level l
         where l.site_id = f.site_id and l.item_code = f.item_code
           and l.from_ts < b.ends and l.to_ts > b.begins)::float8 as installed_s
    from (
        select p.site_id, p.item_code, date_trunc(%(grain)s::text, p.period::timestamp) as begins,
               sum(p.consumption order by p.period) as consumption, sum(p.estimated order by p.period) as estimated,
               sum(p.covered_s order by p.period) as covered_s
        from derive_touch t
        join derive_item i on i.site_id = t.id
        cross join (select %(finer)s::nengliu.grain as grain offset 0) finer
        cross join lateral (
            select site_id, item_code, period, consumption, estimated, covered_s
            from nengliu.site_period
            where grain = finer.grain and site_id = i.site_id and item_code = i.item_code
              and period >= t.from_day and period < t.to_day
            offset 0
        ) p
        where t.grain = %(grain)s::nengliu.grain
        group by p.site_id, p.item_code, begins
    ) f
    cross join lateral (
        select f.begins at time zone %(zone)s as begins,
               (f.begins + ('1 ' || %(grain)s::text)::interval) at time zone %(zone)s as ends
    ) b
), stored as materialized (
    select p.*
    from derive_touch t
    join derive_item i on i.site_id = t.id
    cross join lateral (
        select site_id, item_code, period, consumption, estimated, covered_s, installed_s
        from nengliu.site_period
        where grain = t.grain and site_id = i.site_id and item_code = i.item_code
          and period >= t.from_day and period < t.to_day
        offset 0
    ) p
    where t.grain = %(grain)s::nengliu.grain
), moved as materialized (
    select site_id, item_code, period, f.consumption, f.estimated, f.covered_s, f.installed_s,
           f.covered_s is null as is_gone
    from (select *, begins::date as period from fresh) f
    full join stored s using (site_id, item_code, period)
    where (f.consumption, f.estimated, f.covered_s, f.installed_s)
          is distinct from (s.consumption, s.estimated, s.covered_s, s.installed_s)
), gone as (
    delete from nengliu.site_period p
    using moved m
    where m.is_gone and p.grain = %(grain)s::nengliu.grain and p.site_id = m.site_id and p.item_code = m.item_code
      and p.period = m.period
)
insert into nengliu.site_period
    (grain, site_id, item_code, period, consumption, estimated, covered_s, installed_s)
select %(grain)s::nengliu.grain, site_id, item_code, period, consumption, estimated, covered_s, installed_s
from moved
where not is_gone
on conflict (grain, site_id, item_code, period) do update
set consumption = excluded.consumption, estimated = excluded.estimated,
    covered_s = excluded.covered_s, installed_s = excluded.installed_s
