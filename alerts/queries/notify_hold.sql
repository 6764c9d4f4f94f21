update nengliu.notification n
set state = h.state, reason = h.reason, held_at = case h.state when 'held' then %(now)s::timestamptz end,
    next_try = coalesce(h.next_try, n.next_try), lease = null, lease_until = null
from unnest(%(ids)s::bigint[], %(states)s::text[], %(reasons)s::text[], %(next_tries)s::timestamptz[])
     h (notification_id, state, reason, next_try)
where n.notification_id = h.notification_id
