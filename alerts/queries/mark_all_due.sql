insert into nengliu.assessment_due (site_id, year, terms)
select site_id, %(year)s, true
from nengliu.site
order by site_id
