insert into nengliu.alert_transition (alert_id, transition_no, at, from_state, to_state, action, actor, note)
select %(alert_id)s, coalesce(max(transition_no), 0) + 1, %(at)s, %(from_state)s, %(to_state)s, %(action)s, %(actor)s, %(note)s
from nengliu.alert_transition
where alert_id = %(alert_id)s
