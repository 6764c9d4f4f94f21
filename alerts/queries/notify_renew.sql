-- Still in the hands of who leased it.
update nengliu.notification
set lease_until = %(until)s
where notification_id = any (%(ids)s) and lease = any (%(leases)s) and state = 'waiting'
