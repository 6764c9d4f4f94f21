-- Steps of alerts about quotas that lead to another state, in their order.
select a.alert_id, s.site_code, a.rule, t.at, t.to_state, t.note
from nengliu.alert a
join nengliu.site s using (site_id)
join nengliu.alert_transition t using (alert_id)
where a.rule like 'quota%' and t.from_state is distinct from t.to_state
order by t.at, t.alert_id, t.transition_no
