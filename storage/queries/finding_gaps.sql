-- Outboxes with numbers that are missing and not accepted as lost; since: the oldest of these gaps.
select o.gateway, o.outbox, min(g.since) as since, sum(g.high::numeric - g.low + 1) as missing,
       (array_agg(array[g.low, g.high] order by g.low))[:20] as first_gaps, count(*) as gaps,
       (select case when min(p.site_id) = max(p.site_id) then min(p.site_id) end
        from nengliu.installation i join nengliu.point p using (point_id)
        where i.gateway = o.gateway) as site_id
from nengliu.outbox_gap g
join nengliu.outbox o using (outbox_id)
where not exists (select from nengliu.outbox_loss l
                  where l.outbox_id = g.outbox_id and l.low <= g.low and g.high <= l.high)
group by o.outbox_id
