-- Touched local days of sites and items: sums of their hours, and the time that their points were installed. What
-- came out differently is to be assessed again.
with fresh as materialized (
    select f.*,
        (select coalesce(sum(l.points * extract(epoch from least(l.to_ts, b.ends) - greatest(l.from_ts, b.begins))), 0)
         from derive_root_level l
         where l.site_id = f.site_id and l.item_code = f.item_code
           and l.from_ts < b.ends and l.to_ts > b.begins)::float8 as installed_s
    from (
        select h.site_id, h.item_code, (h.hour at time zone %(zone)s)::date as period,
               sum(h.consumption order by h.hour) as consumption, sum(h.estimated order by h.hour) as estimated,
               sum(h.covered_s order by h.hour) as covered_s
        from derive_touch t
        join derive_item i on i.site_id = t.id
        cross join lateral (
            select site_id, item_code, hour, consumption, estimated, covered_s
            from nengliu.site_hour
            where site_id = i.site_id and item_code = i.item_code and hour >= t.from_ts and hour < t.to_ts
              and hour >= %(from_ts)s::timestamptz and hour < %(to_ts)s::timestamptz
            offset 0
        ) h
        where t.grain = 'day'
        group by h.site_id, h.item_code, period
    ) f
    cross join lateral (
        select f.period::timestamp at time zone %(zone)s as begins, (f.period + 1)::timestamp at time zone %(zone)s as ends
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
    where t.grain = 'day'
), moved as materialized (
    select site_id, item_code, period, f.consumption, f.estimated, f.covered_s, f.installed_s,
           f.covered_s is null as is_gone
    from fresh f
    full join stored s using (site_id, item_code, period)
    where (f.consumption, f.estimated, f.covered_s, f.installed_s)
          is distinct from (s.consumption, s.estimated, s.covered_s, s.installed_s)
), gone as (
    delete from nengliu.site_period p
    using moved m
    where m.is_gone and p.grain = 'day' and p.site_id = m.site_id and p.item_code = m.item_code and p.period = m.period
), put as (
    insert into nengliu.site_period
        (grain, site_id, item_code, period, consumption, estimated, covered_s, installed_s)
    select 'day', site_id, item_code, period, consumption, estimated, covered_s, installed_s
    from moved
    where not is_gone
    on conflict (grain, site_id, item_code, period) do update
    set consumption = excluded.consumption, estimated = excluded.estimated,
        covered_s = excluded.covered_s, installed_s = excluded.installed_s
)
insert into nengliu.assessment_due (site_id, item_code, year)
select distinct site_id, item_code, extract(year from period)::int
from moved
