-- The gateways that installations name which are open at `now`, what they should be heard of, and when they were.
select i.gateway, min(i.interval_s) as interval_s, max(i.interval_s) as longest_s, min(i.installed_at) as installed_at,
       count(distinct i.meter)::int as meters, count(distinct p.site_id)::int as sites, min(p.site_id) as site_id,
       g.state, g.since, g.heard_at, g.event_ts, coalesce(g.final, false) as final
from nengliu.installation i
join nengliu.point p using (point_id)
left join nengliu.gateway g using (gateway)
where i.installed_at <= %(now)s and (i.removed_at is null or i.removed_at > %(now)s)
group by i.gateway, g.gateway
order by i.gateway
