-- Mean hourly energy of each local day of which all is measured.
select (k.ix - 1)::int4, (p.period - %(first)s::date)::int4, p.consumption / 24
from unnest(%(sites)s::int[], %(items)s::text[]) with ordinality k (site_id, item_code, ix)
join nengliu.site_period p on p.site_id = k.site_id and p.item_code = k.item_code
where p.grain = 'day' and p.period between %(first)s::date and %(last)s::date
  and p.estimated = 0 and p.covered_s >= p.installed_s and p.installed_s > 0
