-- What notifications tell of: alert, transition, site, the year so far and the newest assessment. By notification, or the
-- entries of a digest.
select n.notification_id, n.key, a.alert_id, a.rule, a.severity, a.state, a.subject, a.item_code, a.year, a.evidence,
       a.opened_at, a.confirmed_at, a.acknowledged_at, a.resolved_at, a.snoozed_until, a.escalated, s.site_code, s.name as site_name, s.district_code,
       t.transition_no, t.at, t.from_state, t.to_state, t.action, t.actor, t.note, a.promised_on,
       e.consumption as year_consumption, e.estimated as year_estimated,
       q.as_of, q.used, q.limit_value, q.forecast_p10, q.forecast_p50, q.forecast_p90, q.exhaustion_date, q.completeness,
       q.level
from nengliu.notification n
join nengliu.alert a using (alert_id)
left join nengliu.site s using (site_id)
join nengliu.alert_transition t on t.alert_id = n.alert_id and t.transition_no = n.transition_no
left join nengliu.site_period e
    on e.grain = 'year' and e.site_id = a.site_id and e.item_code = a.item_code and e.period = make_date(a.year, 1, 1)
left join lateral (
    select * from nengliu.quota_assessment q
    where q.site_id = a.site_id and q.item_code = a.item_code and q.year = a.year
    order by q.as_of desc, q.assessed_at desc limit 1
) q on true
where n.notification_id = %(id)s or n.digest_id = %(id)s
order by n.notification_id
