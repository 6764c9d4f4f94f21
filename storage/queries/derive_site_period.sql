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
        join nengliu.site_period p on p.site_id = t.id and p.period >= t.from_day and p.period < t.to_day
        where t.grain = %(grain)s::nengliu.grain and p.grain = %(finer)s::nengliu.grain
        group by p.site_id, p.item_code, begins
    ) f
    cross join lateral (
        select f.begins at time zone %(zone)s as begins,
               (f.begins + ('1 ' || %(grain)s::text)::interval) at time zone %(zone)s as ends
    ) b
), gone as (
    delete from nengliu.site_period p
    using derive_touch t
    where t.grain = %(grain)s::nengliu.grain and p.grain = t.grain and p.site_id = t.id
      and p.period >= t.from_day and p.period < t.to_day
      and (p.site_id, p.item_code, p.period) not in (select site_id, item_code, begins::date from fresh)
)
insert into nengliu.site_period as p
    (grain, site_id, item_code, period, consumption, estimated, covered_s, installed_s)
select %(grain)s::nengliu.grain, site_id, item_code, begins::date, consumption, estimated, covered_s, installed_s
from fresh
on conflict (grain, site_id, item_code, period) do update
set consumption = excluded.consumption, estimated = excluded.estimated,
    covered_s = excluded.covered_s, installed_s = excluded.installed_s
where (p.consumption, p.estimated, p.covered_s, p.installed_s)
    is distinct from (excluded.consumption, excluded.estimated, excluded.covered_s, excluded.installed_s)
