-- Energy of points by local day, numbered as the exchanges asked for: consumption, and whether it was measured wholly.
select (x.ix - 1)::int4, (d.period - %(first)s::date)::int4, d.consumption,
       (d.estimated = 0 and d.covered_s >= d.installed_s - 1 and d.installed_s > 0)::int4
from unnest(%(points)s::int[], %(from_days)s::date[], %(to_days)s::date[]) with ordinality x (point_id, from_day, to_day, ix)
join nengliu.point_period d on d.point_id = x.point_id and d.grain = 'day' and d.period between x.from_day and x.to_day
