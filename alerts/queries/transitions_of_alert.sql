select at, from_state, to_state, action, actor, note
from nengliu.alert_transition
where alert_id = %(alert_id)s
order by transition_no
