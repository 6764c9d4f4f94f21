-- The gateways that open installations name, and how far each has come.
select i.gateway, g.event_ts, coalesce(g.final, false) as final,
       greatest(g.heard_at, (select max(v.imported_at)
                             from nengliu.registry_version v
                             join nengliu.registry_change c using (version)
                             where c.kind = 'installation')) as heard_at
from (
    select distinct gateway
    from nengliu.installation
    where removed_at is null or (removed_at > now() and removed_at > installed_at)
) i
left join nengliu.gateway g using (gateway)
order by i.gateway
