-- Ratios at points, and meters under the number of the one before, that were entered after readings of their time had
-- come: when they begin, both ratios, what the register showed before and after, and the last reading that had come
-- before. What is entered for the first time with its past is none: no reading came before it.
select i.point_id, i.meter, i.installed_at, i.ratio, old.ratio as old_ratio, old.end_value, i.start_value, seen.ts
from nengliu.installation i
join nengliu.installation old on old.meter = i.meter and old.register = i.register and old.point_id = i.point_id
    and old.removed_at = i.installed_at and old.installed_at < i.installed_at
    and (old.ratio <> i.ratio or old.end_value <> i.start_value)
join nengliu.series s on s.meter = i.meter and s.register = i.register
cross join lateral (
    select min(v.imported_at) as at
    from nengliu.registry_change c join nengliu.registry_version v using (version)
    where c.kind = 'installation' and c.after ->> 'meter' = i.meter and c.after ->> 'register' = i.register
      and (c.after ->> 'installed_at')::timestamptz = i.installed_at
) entered
cross join lateral (
    select max(r.ts) as ts from nengliu.reading r
    where r.series_id = s.series_id and r.ts >= i.installed_at and r.received_at < entered.at
      and (i.removed_at is null or r.ts < i.removed_at)
) seen
where i.point_id = any (%(points)s) and i.register = any (%(registers)s)
  and i.installed_at >= %(from_ts)s and i.installed_at < %(to_ts)s
  and seen.ts > i.installed_at + i.interval_s * interval '1 s'
