-- Changes of series that belonged to no point when they were written: given to the points that they belong to now,
-- dropped where there is none (once it has one, the registry's import marks that point).
with homeless as materialized (
    select change_id, series_id, point_id, from_ts, to_ts, marked_at
    from nengliu.change
    where site_id is null
    order by change_id
    limit 10000
    for update skip locked
), homes as (
    select p.site_id, p.point_id, h.from_ts, h.to_ts, h.marked_at
    from homeless h
    join nengliu.series e using (series_id)
    join nengliu.installation i on i.meter = e.meter and i.register = e.register
        and i.installed_at <= h.to_ts and (i.removed_at is null or i.removed_at > h.from_ts)
    join nengliu.point p on p.point_id = i.point_id
    union
    select p.site_id, p.point_id, h.from_ts, h.to_ts, h.marked_at
    from homeless h join nengliu.point p using (point_id)
), given as (
    insert into nengliu.change (site_id, point_id, from_ts, to_ts, marked_at)
    select site_id, point_id, from_ts, to_ts, marked_at from homes
)
delete from nengliu.change where change_id in (select change_id from homeless)
