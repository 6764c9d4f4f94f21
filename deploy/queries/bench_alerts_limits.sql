-- The limit in force of each site.
select s.site_code, l.limit_value
from nengliu.quota_limit l
join nengliu.quota q using (quota_id)
join nengliu.site s using (site_id)
where l.superseded_at is null
