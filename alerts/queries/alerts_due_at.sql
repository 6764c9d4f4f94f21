update nengliu.alert a set due_at = u.due_at
from unnest(%(alert_ids)s::bigint[], %(due_at)s::timestamptz[]) u (alert_id, due_at)
where a.alert_id = u.alert_id and a.due_at is distinct from u.due_at
