update nengliu.notification
set lease = %(lease)s, lease_until = %(until)s, attempts = attempts + 1
where notification_id = any (%(ids)s)
