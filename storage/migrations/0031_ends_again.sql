-- Ends of installations bound energy by other rules than before: an unread one is learnt from readings whenever they come,
-- an end_value is judged like a reading. Derived again, each from the last reading before it.
insert into nengliu.change (site_id, point_id, from_ts, to_ts)
select distinct p.site_id, i.point_id, i.removed_at, i.removed_at
from nengliu.installation i
join nengliu.point p using (point_id)
where i.removed_at > i.installed_at and i.removed_at <= now();
