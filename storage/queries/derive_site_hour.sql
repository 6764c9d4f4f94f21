-- Touched hours of sites and items: sums of the points that count; installed time also of those without a row.
-- Hours are looked up point by point and item by item (offset 0 keeps it so), whatever the statistics.
with fresh as materialized (
    select f.*, case when whole.points is not null then whole.points * 3600 else
        (select coalesce(sum(l.points * extract(epoch from least(l.to_ts, f.hour + interval '1 hour')
                                                         - greatest(l.from_ts, f.hour))), 0)
         from derive_root_level l
         where l.site_id = f.site_id and l.item_code = f.item_code
           and l.from_ts < f.hour + interval '1 hour' and l.to_ts > f.hour) end::float8 as installed_s
    from (
        select r.site_id, r.item_code, h.hour,
               sum(h.consumption order by h.point_id) as consumption,
               sum(h.estimated order by h.point_id) as estimated,
               sum(h.covered_s order by h.point_id) as covered_s
        from derive_site_window w
        join derive_root r using (site_id)
        cross join lateral (
            select point_id, hour, consumption, estimated, covered_s
            from nengliu.point_hour
            where point_id = r.point_id and hour >= greatest(w.from_ts, r.from_hour) and hour < least(w.to_ts, r.to_hour)
              and hour >= %(from_ts)s::timestamptz and hour < %(to_ts)s::timestamptz
            offset 0
        ) h
        group by r.site_id, r.item_code, h.hour
    ) f
    left join derive_root_level whole on whole.site_id = f.site_id and whole.item_code = f.item_code
        and whole.from_ts <= f.hour and whole.to_ts >= f.hour + interval '1 hour'
), stored as materialized (
    select h.*
    from derive_site_window w
    join derive_item i using (site_id)
    cross join lateral (
        select site_id, item_code, hour, consumption, estimated, covered_s, installed_s
        from nengliu.site_hour
        where site_id = i.site_id and item_code = i.item_code and hour >= w.from_ts and hour < w.to_ts
          and hour >= %(from_ts)s::timestamptz and hour < %(to_ts)s::timestamptz
        offset 0
    ) h
), moved as materialized (
    select site_id, item_code, hour, f.consumption, f.estimated, f.covered_s, f.installed_s,
           s.covered_s is null as is_new, f.covered_s is null as is_gone
    from fresh f
    full join stored s using (site_id, item_code, hour)
    where (f.consumption, f.estimated, f.covered_s, f.installed_s)
          is distinct from (s.consumption, s.estimated, s.covered_s, s.installed_s)
), gone as (
    delete from nengliu.site_hour h
    using moved m
    where m.is_gone and h.site_id = m.site_id and h.item_code = m.item_code and h.hour = m.hour
      and h.hour >= %(from_ts)s::timestamptz and h.hour < %(to_ts)s::timestamptz
), new as (
    insert into nengliu.site_hour
        (site_id, item_code, hour, consumption, estimated, covered_s, installed_s, revision)
    select site_id, item_code, hour, consumption, estimated, covered_s, installed_s, nextval('nengliu.energy_revision')
    from moved
    where is_new
)
insert into nengliu.site_hour
    (site_id, item_code, hour, consumption, estimated, covered_s, installed_s, revision)
select site_id, item_code, hour, consumption, estimated, covered_s, installed_s, nextval('nengliu.energy_revision')
from moved
where not is_new and not is_gone
on conflict (site_id, item_code, hour) do update
set consumption = excluded.consumption, estimated = excluded.estimated,
    covered_s = excluded.covered_s, installed_s = excluded.installed_s, revision = excluded.revision
