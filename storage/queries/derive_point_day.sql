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
        join nengliu.point_hour h on h.point_id = t.id and h.hour >= t.from_ts and h.hour < t.to_ts
        where t.grain = 'day' and h.hour >= %(from_ts)s::timestamptz and h.hour < %(to_ts)s::timestamptz
        group by h.point_id, period
    ) f
    cross join lateral (
        select f.period::timestamp at time zone %(zone)s as begins, (f.period + 1)::timestamp at time zone %(zone)s as ends
    ) b
), gone as (
    delete from nengliu.point_period p
    using derive_touch t
    where t.grain = 'day' and p.grain = 'day' and p.point_id = t.id
      and p.period >= t.from_day and p.period < t.to_day
      and (p.point_id, p.period) not in (select point_id, period from fresh)  -- hashed, whatever the statistics
)
insert into nengliu.point_period as p (grain, point_id, period, consumption, estimated, covered_s, installed_s)
select 'day', point_id, period, consumption, estimated, covered_s, installed_s
from fresh
on conflict (grain, point_id, period) do update
set consumption = excluded.consumption, estimated = excluded.estimated,
    covered_s = excluded.covered_s, installed_s = excluded.installed_s
where (p.consumption, p.estimated, p.covered_s, p.installed_s)
    is distinct from (excluded.consumption, excluded.estimated, excluded.covered_s, excluded.installed_s)
