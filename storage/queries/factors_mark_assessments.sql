-- Quotas in tonnes are to be computed and assessed again.
insert into nengliu.assessment_due (site_id, item_code, year, terms)
select distinct site_id, item_code, year, true
from nengliu.quota
where item_code in ('tce', 'tco2')
