select a.alert_id, s.site_code, a.item_code, a.year, a.rule, a.severity, a.state, a.subject, a.evidence
from nengliu.alert a
join nengliu.site s using (site_id)
where a.alert_id = %(alert_id)s
for update of a
