-- What was held before the cut, by contact; told_since: a later transition of its alert was sent to the contact at once.
select n.notification_id, n.name, n.channel, n.address, n.language, n.route, n.severity,
       exists (select from nengliu.notification l
               where l.alert_id = n.alert_id and l.name = n.name and l.channel = n.channel and l.address = n.address
                 and l.transition_no > n.transition_no and l.state in ('waiting', 'sent')) as told_since
from nengliu.notification n
where n.state = 'held' and n.held_at < %(cut)s
order by n.channel, n.address, n.name, n.notification_id
limit 5000
for update of n skip locked
