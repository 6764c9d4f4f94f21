-- Notifications that came to their end long ago, of alerts that are over; a digest after what it told. Who was told of an alert
-- that is open is told of its end, too: those stay, and so does whatever waits, is held or failed.
delete from nengliu.notification
where notification_id in (
    select n.notification_id
    from nengliu.notification n
    where n.state in ('sent', 'digested', 'dropped')
      and coalesce(n.sent_at, n.created_at)
          < least(now() - make_interval(years => %(years)s), now() - make_interval(days => %(days)s))
      and not exists (select from nengliu.alert a
                      where a.alert_id = n.alert_id and a.state not in ('resolved', 'retracted'))
      and not exists (select from nengliu.notification e where e.digest_id = n.notification_id)
    limit %(limit)s
    for update skip locked
)
