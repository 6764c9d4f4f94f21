-- Alerts about months of sites, oldest first, but for those that were retracted.
select a.alert_id, a.site_id, a.item_code, a.evidence ->> 'month', a.state
from nengliu.alert a
where a.rule = 'quota_monthly_over' and a.site_id = any (%(sites)s::int[]) and a.state <> 'retracted'
order by a.alert_id
