-- Installations whose removal has come since a worker looked last: their energy goes on to that moment now, to the
-- end_value or estimated. Marks them.
with look as materialized (
    select looked_at from nengliu.removal_look for update skip locked
), due as (
    insert into nengliu.change (site_id, point_id, from_ts, to_ts)
    select p.site_id, p.point_id, i.removed_at, i.removed_at
    from look
    join nengliu.installation i on i.removed_at > look.looked_at and i.removed_at <= now()
    join nengliu.point p using (point_id)
    where i.removed_at > i.installed_at
)
update nengliu.removal_look set looked_at = now() where exists (select from look)
