-- Where a meter or ratio that counts a point's energy was followed by another, and the local days around it: energy of
-- each, NULL where it was not measured wholly. Not of meters read less than daily: their days are shares of one step.
select x.meter, x.at, x.old_meter, x.ratio, x.old_ratio, x.day,
       (select array_agg(case when p.estimated = 0 and p.covered_s >= p.installed_s - 1 and p.installed_s > 0
                              then p.consumption end order by d.day)
        from generate_series(x.day - %(window)s::int, x.day + %(window)s::int, interval '1 day') d (day)
        left join nengliu.point_period p on p.grain = 'day' and p.point_id = %(point)s and p.period = d.day::date) as days
from (
    select distinct on (i.installed_at) i.meter, i.installed_at as at, old.meter as old_meter, i.ratio, old.ratio as old_ratio,
           (i.installed_at at time zone nengliu.local_zone())::date as day
    from nengliu.installation i
    join nengliu.installation old on old.point_id = i.point_id and old.register = i.register
        and old.installed_at < old.removed_at and old.removed_at <= i.installed_at
        and old.removed_at > i.installed_at - interval '3 days'
        and (old.meter, old.ratio) is distinct from (i.meter, i.ratio)
    where i.point_id = %(point)s and i.register = any (%(registers)s) and i.removed_at is distinct from i.installed_at
      and i.installed_at >= %(from_ts)s and i.installed_at < %(to_ts)s
      and i.interval_s <= 86400 and old.interval_s <= 86400
    order by i.installed_at, old.removed_at desc, i.register
) x
