-- Given up or dropped, to be tried again from now on.
update nengliu.notification
set state = 'waiting', created_at = clock_timestamp(), next_try = clock_timestamp(), attempts = 0, reason = null
where state in ('failed', 'dropped') and (%(ids)s::bigint[] is null or notification_id = any (%(ids)s::bigint[]))
  and (%(ids)s::bigint[] is not null or state = 'failed')
returning notification_id
