-- What could be sent now, critical first. sent_within_hour: to that address; wanted: the contact still wants anything.
select n.notification_id, n.key, n.kind, n.alert_id, n.transition_no, n.to_state, n.severity, n.name, n.language,
       n.channel, n.address, n.route, n.created_at, n.attempts,
       (select count(*) from nengliu.notification s
        where s.channel = n.channel and s.address = n.address and s.kind = 'alert'
          and s.sent_at > %(now)s - interval '1 hour')
       + (select count(*) from nengliu.notification s
          where s.state = 'waiting' and s.lease_until > %(now)s and s.channel = n.channel and s.address = n.address
            and s.kind = 'alert') as sent_within_hour,
       coalesce((select bool_or(c.severity_from <> 'none') from nengliu.contact c
                 where c.name = n.name and c.channel = n.channel and c.address = n.address), false) as wanted
from nengliu.notification n
where n.state = 'waiting' and n.next_try <= %(now)s and (n.lease_until is null or n.lease_until <= %(now)s)
  and n.route <> all (%(busy)s::text[])
order by (n.severity = 'critical') desc, n.next_try, n.notification_id
limit %(limit)s
for update of n skip locked
