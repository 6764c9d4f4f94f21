-- Which years of series have, or had, a verdict: a quota or an assessment.
select (k.ix - 1)::int
from unnest(%(sites)s::int[], %(items)s::text[], %(years)s::int[]) with ordinality k (site_id, item_code, year, ix)
where exists (select from nengliu.quota q
              where q.site_id = k.site_id and q.item_code = k.item_code and q.year = k.year)
   or exists (select from nengliu.quota_assessment a
              where a.site_id = k.site_id and a.item_code = k.item_code and a.year = k.year)
