-- Installations, at any time, behind some gateways and those of some sites; passed: whether the gateway's readings have
-- passed its end, or no open installation names that gateway, so that none is to come.
select i.gateway, i.meter, i.register, i.installed_at, i.removed_at, i.interval_s, i.point_id, p.site_id,
       coalesce(g.event_ts > i.removed_at, false)
           or not bool_or(i.removed_at is null) over (partition by i.gateway) as passed
from nengliu.installation i
join nengliu.point p using (point_id)
left join nengliu.gateway g using (gateway)
where i.gateway in (select unnest(%(gateways)s::text[])
                    union
                    select b.gateway
                    from nengliu.installation b
                    join nengliu.point q using (point_id)
                    where q.site_id = any (%(sites)s::int[]))
  and i.removed_at is distinct from i.installed_at
order by i.gateway, i.meter, i.installed_at, i.register
