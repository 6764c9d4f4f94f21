-- Mean hourly energy of the hours from midnight to six of each local day of which all are measured.
select (k.ix - 1)::int4, (k.day - %(first)s::date)::int4, k.mean
from (
    select s.ix, (h.hour at time zone %(zone)s)::date as day, avg(h.consumption order by h.hour) as mean
    from unnest(%(sites)s::int[], %(items)s::text[]) with ordinality s (site_id, item_code, ix)
    join nengliu.site_hour h on h.site_id = s.site_id and h.item_code = s.item_code
    where h.hour >= %(begins)s and h.hour < %(ends)s and extract(hour from h.hour at time zone %(zone)s) < 6
    group by 1, 2
    having count(*) >= 5 and sum(h.estimated) = 0 and sum(h.covered_s) >= sum(h.installed_s)
) k
