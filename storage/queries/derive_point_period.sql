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
        cross join lateral (
            select point_id, period, consumption, estimated, covered_s
            from nengliu.point_period
            where grain = %(finer)s::nengliu.grain and point_id = t.id and period >= t.from_day and period < t.to_day
            offset 0
        ) p
        where t.grain = %(grain)s::nengliu.grain
        group by p.point_id, begins
    ) f
    cross join lateral (
        select f.begins at time zone %(zone)s as begins,
               (f.begins + ('1 ' || %(grain)s::text)::interval) at time zone %(zone)s as ends
    ) b
), stored as materialized (
    select p.*
    from derive_touch t
    cross join lateral (
        select point_id, period, consumption, estimated, covered_s, installed_s
        from nengliu.point_period
        where grain = t.grain and point_id = t.id and period >= t.from_day and period < t.to_day
        offset 0
    ) p
    where t.grain = %(grain)s::nengliu.grain
), moved as materialized (
    select point_id, period, f.consumption, f.estimated, f.covered_s, f.installed_s, f.covered_s is null as is_gone
    from (select *, begins::date as period from fresh) f
    full join stored s using (point_id, period)
    where (f.consumption, f.estimated, f.covered_s, f.installed_s)
          is distinct from (s.consumption, s.estimated, s.covered_s, s.installed_s)
), gone as (
    delete from nengliu.point_period p
    using moved m
    where m.is_gone and p.grain = %(grain)s::nengliu.grain and p.point_id = m.point_id and p.period = m.period
)
insert into nengliu.point_period (grain, point_id, period, consumption, estimated, covered_s, installed_s)
select %(grain)s::nengliu.grain, point_id, period, consumption, estimated, covered_s, installed_s
from moved
where not is_gone
on conflict (grain, point_id, period) do update
set consumption = excluded.consumption, estimated = excluded.estimated,
    covered_s = excluded.covered_s, installed_s = excluded.installed_s
