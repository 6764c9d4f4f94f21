-- The first meters that are open behind gateways at `now`.
select gateway, (array_agg(distinct meter order by meter))[:50]
from nengliu.installation
where gateway = any (%(gateways)s) and installed_at <= %(now)s and (removed_at is null or removed_at > %(now)s)
group by gateway
