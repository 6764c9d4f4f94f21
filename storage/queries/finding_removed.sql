-- Lasting silences of meters that are not installed at their point at `now`, and when they were removed from it
-- (NULL: those installations are void).
select f.finding_id, f.starts,
       (select max(i.removed_at) from nengliu.installation i
        where i.meter = f.meter and i.point_id = f.point_id and i.removed_at > i.installed_at) as removed_at
from nengliu.finding f
where f.kind = 'silent_meter' and f.state = 'open' and f.ends is null
  and not exists (select from nengliu.installation i
                  where i.meter = f.meter and i.point_id = f.point_id and i.installed_at <= %(now)s
                    and (i.removed_at is null or i.removed_at > %(now)s))
