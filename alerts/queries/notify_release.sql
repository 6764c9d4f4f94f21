-- Leased and not tried after all.
update nengliu.notification
set lease = null, lease_until = null, attempts = attempts - 1
where notification_id = any (%(ids)s) and lease = %(lease)s and state = 'waiting'
