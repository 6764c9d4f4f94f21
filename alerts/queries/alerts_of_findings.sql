-- Alerts of a rule about some findings or subjects, oldest first, but for those that were retracted; by_person: closed,
-- and not because what it was about was over; by_acceptance: acknowledged last by the platform, which heard that its
-- finding was accepted.
select a.alert_id, a.evidence ->> 'about', a.finding_id, a.opened_at, a.resolved_at, a.settled_as_of is null as by_person,
       coalesce((select t.actor = %(actor)s from nengliu.alert_transition t
                 where t.alert_id = a.alert_id and t.action = 'acknowledged'
                 order by t.transition_no desc limit 1), false) as by_acceptance,
       a.state, a.told_at, a.escalated, a.promised_on, a.snoozed_until, a.reopened_at
from nengliu.alert a
where a.rule = %(rule)s and a.state <> 'retracted'
  and (a.finding_id = any (%(finding_ids)s::bigint[]) or a.evidence ->> 'about' = any (%(subjects)s)
       or exists (select from nengliu.finding f left join nengliu.point p using (point_id)
                  where f.finding_id = a.finding_id
                    and (coalesce(f.subject, f.meter, p.point_code) = any (%(subjects)s)
                         or f.gateway = any (%(subjects)s))))
order by a.alert_id
