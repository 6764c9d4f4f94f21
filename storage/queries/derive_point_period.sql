-- Touched months (or years) of points: sums of their days (or months).
with fresh as materialized (
    select f.*,
        (select coalesce(sum(extract(epoch from least(s.to_ts, b.ends) - greatest(s.from_ts, b.begins))), 0)
         from nengliu.point_span s
         where s.point_id = f.point_id and s.from_ts < b.ends and s.to_ts > b.begins)::float8 as installed_s
    from (
        select p.point_id, date_trunc(%(grain)s::text, p.period::timestamp) as begins,
               sum(p.consumption order by p.period) as consumption, sum(p.estimated order by p.period) as estimated,
               sum(p.covered_s order by p.period) as covered_s
        from derive_touch t
        join nengliu.point_period p on p.point_id = t.id and p.period >= t.from_day and p.period < t.to_day
        where t.grain = %(grain)s::nengliu.grain and p.grain = %(finer)s::nengliu.grain
        group by p.point_id, begins
    ) f
    cross join lateral (
        select f.begins at time zone %(zone)s as begins,
               (f.begins + ('1 ' || %(grain)s::text)::interval) at time zone %(zone)s as ends
    ) b
), gone as (
    delete from nengliu.point_period p
    using derive_touch t
    where t.grain = %(grain)s::nengliu.grain and p.grain = t.grain and p.point_id = t.id
      and p.period >= t.from_day and p.period < t.to_day
      and (p.point_id, p.period) not in (select point_id, begins::date from fresh)
)
insert into nengliu.point_period as p (grain, point_id, period, consumption, estimated, covered_s, installed_s)
select %(grain)s::nengliu.grain, point_id, begins::date, consumption, estimated, covered_s, installed_s
from fresh
on conflict (grain, point_id, period) do update
set consumption = excluded.consumption, estimated = excluded.estimated,
    covered_s = excluded.covered_s, installed_s = excluded.installed_s
where (p.consumption, p.estimated, p.covered_s, p.installed_s)
    is distinct from (excluded.consumption, excluded.estimated, excluded.covered_s, excluded.installed_s)
