-- Hours of the windows as they are now: those without a step go, those that differ get a new revision.
with gone as (
    delete from nengliu.point_hour h
    using derive_window w
    where h.point_id = w.point_id and h.hour >= w.from_ts and h.hour < w.to_ts
      and h.hour >= %(from_ts)s::timestamptz and h.hour < %(to_ts)s::timestamptz
      and not exists (select from derive_hour f where f.point_id = h.point_id and f.hour = h.hour)
    returning 1
), put as (
    insert into nengliu.point_hour as h
        (point_id, hour, consumption, estimated, covered_s, installed_s, method, revision)
    select point_id, hour, consumption, estimated, covered_s, installed_s, method, nextval('nengliu.energy_revision')
    from derive_hour f
    where not exists (
        select from nengliu.point_hour s
        where s.point_id = f.point_id and s.hour = f.hour
          and s.consumption = f.consumption and s.estimated = f.estimated
          and s.covered_s = f.covered_s and s.installed_s = f.installed_s and s.method = f.method
          and s.hour >= %(from_ts)s::timestamptz and s.hour < %(to_ts)s::timestamptz)
    on conflict (point_id, hour) do update
    set consumption = excluded.consumption, estimated = excluded.estimated,
        covered_s = excluded.covered_s, installed_s = excluded.installed_s, method = excluded.method,
        revision = excluded.revision
    returning 1
)
select (select count(*) from gone) + (select count(*) from put)
