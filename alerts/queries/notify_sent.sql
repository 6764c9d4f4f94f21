-- Whoever holds the lease: it was sent, whether or not another sends it too by now.
update nengliu.notification
set state = 'sent', sent_at = clock_timestamp(), reason = null, lease = null, lease_until = null
where notification_id = %(id)s and state in ('waiting', 'failed')
returning extract(epoch from sent_at - created_at)::float8
