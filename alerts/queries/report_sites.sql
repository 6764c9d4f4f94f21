-- Sites with a quota, those with most alerts first; %(at_most)s of them, and how many there are.
select q.site_code, count(*) over ()::int as sites
from (select distinct site_code from api.quota) q
left join (select site_code, count(*) as alerts from api.alert group by site_code) a using (site_code)
order by coalesce(a.alerts, 0) desc, q.site_code
limit %(at_most)s
