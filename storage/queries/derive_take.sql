-- The changes of claimed sites, of live ones only those of the last hours (as of the same moment as in their claim); times
-- in microseconds since 1970, without bound as -2^62 and 2^62. What lies before retention's floor is left out: hours before
-- it are never derived again.
with taken as (
    delete from nengliu.change
    where site_id = any (%(sites)s)
      and (not %(live)s or from_ts >= now() - %(live_hours)s * interval '1 hour')
    returning site_id, series_id, point_id, greatest(from_ts, nengliu.retention_floor()) as from_ts, to_ts
)
select site_id, series_id, point_id,
    case when from_ts = '-infinity' then -4611686018427387904
         else (extract(epoch from from_ts) * 1000000)::bigint end,
    case when to_ts = 'infinity' then 4611686018427387904
         else (extract(epoch from to_ts) * 1000000)::bigint end
from taken
where from_ts <= to_ts
