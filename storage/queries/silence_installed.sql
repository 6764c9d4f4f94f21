-- Installations, at any time, behind some gateways and those of some sites; passed: whether the gateway's readings have
-- passed its end, or no open installation names that gateway, so that none is to come. Installations first: the planner
-- cannot know how few they are.
with gateways as materialized (
    select distinct b.gateway
    from nengliu.point q
    cross join lateral (select gateway from nengliu.installation where point_id = q.point_id offset 0) b
    where q.site_id = any (%(sites)s::int[])
    union
    select unnest(%(gateways)s::text[])
), rows as materialized (
    select i.gateway, i.meter, i.register, i.installed_at, i.removed_at, i.interval_s, i.point_id
    from nengliu.installation i
    where i.gateway in (select gateway from gateways) and i.removed_at is distinct from i.installed_at
)
select i.gateway, i.meter, i.register, i.installed_at, i.removed_at, i.interval_s, i.point_id, p.site_id,
       coalesce(g.event_ts > i.removed_at, false)
           or not bool_or(i.removed_at is null) over (partition by i.gateway) as passed
from rows i
cross join lateral (select site_id from nengliu.point where point_id = i.point_id offset 0) p
left join lateral (select event_ts from nengliu.gateway where gateway = i.gateway offset 0) g on true
order by i.gateway, i.meter, i.installed_at, i.register
