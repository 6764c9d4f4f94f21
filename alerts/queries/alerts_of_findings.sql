-- Alerts of a rule about some findings or subjects, oldest first, but for those that were retracted.
select a.alert_id, a.evidence ->> 'about', a.finding_id, a.opened_at,
       a.state, a.told_at, a.escalated, a.promised_on, a.snoozed_until
from nengliu.alert a
where a.rule = %(rule)s and a.state <> 'retracted'
  and (a.finding_id = any (%(finding_ids)s::bigint[]) or a.evidence ->> 'about' = any (%(subjects)s)
       or exists (select from nengliu.finding f
                  where f.finding_id = a.finding_id and (f.subject = any (%(subjects)s) or f.gateway = any (%(subjects)s))))
order by a.alert_id
