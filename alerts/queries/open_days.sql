select (k.ix - 1)::int4, (o.day - %(first)s::date)::int4, o.consumption, o.covered_s
from unnest(%(sites)s::int[], %(items)s::text[]) with ordinality k (site_id, item_code, ix)
join nengliu.site_day_open o on o.site_id = k.site_id and o.item_code = k.item_code
where o.day between %(first)s::date and %(last)s::date
