-- Take what is due of some sites, those with a week or less first, then those that wait longest; without bound means from the first installation to the newest reading,
-- and nothing before retention's floor.
with waiting as (
    select site_id
    from nengliu.silence_due
    group by site_id
    order by bool_or(to_ts > from_ts + interval '7 days'), min(due_id)
    limit %(sites)s
), taken as (
    delete from nengliu.silence_due where site_id in (select site_id from waiting) returning site_id, from_ts, to_ts
), known as (
    select p.site_id, greatest(min(i.installed_at), nengliu.retention_floor()) as first, coalesce(max(g.event_ts), now()) as newest
    from nengliu.point p
    join nengliu.installation i using (point_id)
    left join nengliu.gateway g using (gateway)
    where p.site_id in (select site_id from waiting) and i.removed_at is distinct from i.installed_at
    group by p.site_id
)
select site_id, greatest(from_ts, first), least(to_ts, greatest(newest, from_ts, first))
from taken join known using (site_id)
where to_ts >= first
