-- To whom a link was sent, about which alert; nothing where the contact wants nothing any more.
select n.notification_id, n.name, n.language, n.channel, n.address
from nengliu.notification n
where n.notification_id = %(notification_id)s
  and (n.alert_id = %(alert_id)s
       or exists (select from nengliu.notification e where e.digest_id = n.notification_id and e.alert_id = %(alert_id)s))
  and exists (select from nengliu.contact c
              where c.name = n.name and c.channel = n.channel and c.address = n.address and c.severity_from <> 'none')
