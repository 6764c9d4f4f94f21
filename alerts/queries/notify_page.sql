-- An alert as its page shows it: the newest assessment, and the energy of the year.
select a.alert_id, a.promised_on, a.rule, a.severity, a.state, a.subject, a.item_code, a.year, a.evidence, a.opened_at,
       s.site_code, s.name as site_name, s.district_code,
       e.consumption as year_consumption, e.estimated as year_estimated,
       q.as_of, q.used, q.limit_value, q.forecast_p10, q.forecast_p50, q.forecast_p90, q.exhaustion_date, q.completeness,
       q.level
from nengliu.alert a
left join nengliu.site s using (site_id)
left join nengliu.site_period e
    on e.grain = 'year' and e.site_id = a.site_id and e.item_code = a.item_code and e.period = make_date(a.year, 1, 1)
left join lateral (
    select * from nengliu.quota_assessment q
    where q.site_id = a.site_id and q.item_code = a.item_code and q.year = a.year
    order by q.as_of desc, q.assessed_at desc limit 1
) q on true
where a.alert_id = %(alert_id)s
