-- Mean hourly energy of each local day of which all is measured; where clocks are put forward or back it has 23 or 25 hours.
select (k.ix - 1)::int4, (p.period - %(first)s::date)::int4,
       p.consumption * 3600 / extract(epoch from (p.period + 1)::timestamp at time zone %(zone)s
                                                 - p.period::timestamp at time zone %(zone)s)::float8
from unnest(%(sites)s::int[], %(items)s::text[]) with ordinality k (site_id, item_code, ix)
join nengliu.site_period p on p.site_id = k.site_id and p.item_code = k.item_code
where p.grain = 'day' and p.period between %(first)s::date and %(last)s::date
  and p.estimated = 0 and p.covered_s >= p.installed_s and p.installed_s > 0
