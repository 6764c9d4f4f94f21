-- Outboxes in whose place another one of the same gateway came: their last reading's time, and the new one's first.
-- Two that send at the same time are none; patience: so long the new one has been sending while the old one has not.
with placed as (
    select outbox_id, gateway, outbox, first_ts, last_ts,
           lag(outbox_id) over w as old_id, lag(outbox) over w as old_outbox, lag(last_ts) over w as old_last_ts
    from nengliu.outbox
    window w as (partition by gateway order by coalesce(first_ts, '-infinity'), outbox_id)
)
select p.gateway, p.outbox, p.old_outbox, p.old_last_ts, p.first_ts,
       (select coalesce(sum(g.high::numeric - g.low + 1), 0)::float8 from nengliu.outbox_gap g
        where g.outbox_id = p.old_id) as missing,
       (select case when min(t.site_id) = max(t.site_id) then min(t.site_id) end
        from nengliu.installation i join nengliu.point t using (point_id) where i.gateway = p.gateway) as site_id
from placed p
where p.outbox is not null and p.old_id is not null
  and p.old_last_ts < p.first_ts and p.last_ts - p.old_last_ts > %(patience)s::interval
