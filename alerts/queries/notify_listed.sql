-- The outbox, newest first.
select n.notification_id, n.kind, n.state, n.alert_id, a.subject, n.action, n.to_state, n.severity, n.name, n.language, n.channel,
       n.address, n.created_at, n.attempts, n.next_try, n.sent_at, n.reason, n.digest_id, n.key
from nengliu.notification n
left join nengliu.alert a using (alert_id)
where (%(states)s::text[] is null or n.state = any (%(states)s::text[]))
  and (%(alert_id)s::bigint is null or n.alert_id = %(alert_id)s)
order by n.notification_id desc
limit %(limit)s
