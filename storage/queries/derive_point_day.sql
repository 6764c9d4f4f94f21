-- Touched local days of points: sums of their hours, and the time that the point was installed, rows or none.
with fresh as materialized (
    select f.*,
        (select coalesce(sum(extract(epoch from least(s.to_ts, b.ends) - greatest(s.from_ts, b.begins))), 0)
         from nengliu.point_span s
         where s.point_id = f.point_id and s.from_ts < b.ends and s.to_ts > b.begins)::float8 as installed_s
    from (
        select h.point_id, (h.hour at time zone %(zone)s)::date as period,
               sum(h.consumption order by h.hour) as consumption, sum(h.estimated order by h.hour) as estimated,
               sum(h.covered_s order by h.hour) as covered_s
        from derive_touch t
        cross join lateral (
            select point_id, hour, consumption, estimated, covered_s
            from nengliu.point_hour
            where point_id = t.id and hour >= t.from_ts and hour < t.to_ts
              and hour >= %(from_ts)s::timestamptz and hour < %(to_ts)s::timestamptz
            offset 0
        ) h
        where t.grain = 'day'
        group by h.point_id, period
    ) f
    cross join lateral (
        select f.period::timestamp at time zone %(zone)s as begins, (f.period + 1)::timestamp at time zone %(zone)s as ends
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
    where t.grain = 'day'
), moved as materialized (
    select point_id, period, f.consumption, f.estimated, f.covered_s, f.installed_s, f.covered_s is null as is_gone
    from fresh f
    full join stored s using (point_id, period)
    where (f.consumption, f.estimated, f.covered_s, f.installed_s)
          is distinct from (s.consumption, s.estimated, s.covered_s, s.installed_s)
), gone as (
    delete from nengliu.point_period p
    using moved m
    where m.is_gone and p.grain = 'day' and p.point_id = m.point_id and p.period = m.period
)
insert into nengliu.point_period (grain, point_id, period, consumption, estimated, covered_s, installed_s)
select 'day', point_id, period, consumption, estimated, covered_s, installed_s
from moved
where not is_gone
on conflict (grain, point_id, period) do update
set consumption = excluded.consumption, estimated = excluded.estimated,
    covered_s = excluded.covered_s, installed_s = excluded.installed_s
