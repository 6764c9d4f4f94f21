-- An attempt failed. for_good, or given up: no other is made. A row that another sender has in hand by now is left to it.
update nengliu.notification
set state = case when %(last)s then 'failed' else 'waiting' end, reason = %(reason)s,
    next_try = clock_timestamp() + %(after)s, lease = null, lease_until = null
where notification_id = %(id)s and lease = %(lease)s and state = 'waiting'
