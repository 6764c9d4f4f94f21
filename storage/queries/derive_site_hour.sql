-- Touched hours of sites and items: sums of the points that count; installed time also of those without a row.
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
        join nengliu.point_hour h on h.point_id = r.point_id
            and h.hour >= w.from_ts and h.hour < w.to_ts and h.hour >= r.from_hour and h.hour < r.to_hour
        where h.hour >= %(from_ts)s::timestamptz and h.hour < %(to_ts)s::timestamptz
        group by r.site_id, r.item_code, h.hour
    ) f
    left join derive_root_level whole on whole.site_id = f.site_id and whole.item_code = f.item_code
        and whole.from_ts <= f.hour and whole.to_ts >= f.hour + interval '1 hour'
), gone as (
    delete from nengliu.site_hour h
    using derive_site_window w
    where h.site_id = w.site_id and h.hour >= w.from_ts and h.hour < w.to_ts
      and h.hour >= %(from_ts)s::timestamptz and h.hour < %(to_ts)s::timestamptz
      and (h.site_id, h.item_code, h.hour) not in (select site_id, item_code, hour from fresh)
)
insert into nengliu.site_hour as h
    (site_id, item_code, hour, consumption, estimated, covered_s, installed_s, revision)
select site_id, item_code, hour, consumption, estimated, covered_s, installed_s, nextval('nengliu.energy_revision')
from fresh f
where not exists (
    select from nengliu.site_hour s
    where s.site_id = f.site_id and s.item_code = f.item_code and s.hour = f.hour
      and s.consumption = f.consumption and s.estimated = f.estimated
      and s.covered_s = f.covered_s and s.installed_s = f.installed_s
      and s.hour >= %(from_ts)s::timestamptz and s.hour < %(to_ts)s::timestamptz)
on conflict (site_id, item_code, hour) do update
set consumption = excluded.consumption, estimated = excluded.estimated,
    covered_s = excluded.covered_s, installed_s = excluded.installed_s, revision = excluded.revision
