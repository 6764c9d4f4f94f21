-- Open ends of the days that end inside the windows of points; the plain bounds of days spare all others.
with gone as (
    delete from nengliu.point_day_open o
    using derive_window w
    where o.point_id = w.point_id
      and o.day >= (w.from_ts at time zone %(zone)s)::date - 1 and o.day <= (w.to_ts at time zone %(zone)s)::date
      and (o.day + 1)::timestamp at time zone %(zone)s > w.from_ts
      and (o.day + 1)::timestamp at time zone %(zone)s < w.to_ts
      and not exists (select from derive_open f where f.point_id = o.point_id and f.day = o.day)
)
insert into nengliu.point_day_open as o (point_id, day, consumption, covered_s)
select point_id, day, consumption, covered_s
from derive_open
on conflict (point_id, day) do update
set consumption = excluded.consumption, covered_s = excluded.covered_s
where (o.consumption, o.covered_s) is distinct from (excluded.consumption, excluded.covered_s)
