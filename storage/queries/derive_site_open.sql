-- Open ends of touched days of sites and items: of the points that count in the day's last hour.
with fresh as materialized (
    select r.site_id, r.item_code, o.day,
           sum(o.consumption order by o.point_id) as consumption, sum(o.covered_s order by o.point_id) as covered_s
    from derive_touch t
    join derive_root r on r.site_id = t.id
    cross join lateral (
        select point_id, day, consumption, covered_s
        from nengliu.point_day_open
        where point_id = r.point_id and day >= t.from_day and day < t.to_day
        offset 0  -- keeps the order of the joins: else all days of the points may be read
    ) o
    cross join lateral (select (o.day + 1)::timestamp at time zone %(zone)s as ends) b
    where t.grain = 'day' and r.from_hour < b.ends and r.to_hour >= b.ends
    group by r.site_id, r.item_code, o.day
), gone as (
    delete from nengliu.site_day_open o
    using derive_touch t
    where t.grain = 'day' and o.site_id = t.id and o.day >= t.from_day and o.day < t.to_day
      and (o.site_id, o.item_code, o.day) not in (select site_id, item_code, day from fresh)
    returning o.site_id, o.item_code, o.day
), put as (
    insert into nengliu.site_day_open as o (site_id, item_code, day, consumption, covered_s)
    select site_id, item_code, day, consumption, covered_s
    from fresh
    on conflict (site_id, item_code, day) do update
    set consumption = excluded.consumption, covered_s = excluded.covered_s
    where (o.consumption, o.covered_s) is distinct from (excluded.consumption, excluded.covered_s)
    returning o.site_id, o.item_code, o.day
)
insert into nengliu.assessment_due (site_id, item_code, year)
select distinct site_id, item_code, extract(year from day)::int
from (table put union all table gone) moved
