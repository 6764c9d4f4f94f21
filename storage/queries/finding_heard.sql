-- Silences of meters, lasting or over since `from_ts`, of which a reading came since: the steps between the readings,
-- the last one before the silence included, up to now or to the silence's end.
with found as (
    select f.finding_id, f.meter, f.anchor, f.ends,
           (f.detail ->> 'interval_s')::float8 as interval_s,
           greatest((f.detail ->> 'interval_s')::float8 * %(intervals)s::float8, %(floor_s)s::float8)
               * interval '1 s' as patience
    from nengliu.finding f
    where f.kind = 'silent_meter' and f.state = 'open' and (f.ends is null or f.ends > %(from_ts)s)
), touched as (
    select f.*
    from found f
    where exists (select
                  from nengliu.series s
                  cross join lateral (select from nengliu.reading r
                                      where r.series_id = s.series_id and r.ts > f.anchor and r.ts <= %(now)s
                                        and r.ts < coalesce(f.ends, 'infinity')
                                      limit 1) heard
                  where s.meter = f.meter)
), moments as (
    select finding_id, anchor as ts from touched
    union
    select t.finding_id, r.ts
    from touched t
    join nengliu.series s using (meter)
    cross join lateral (select ts from nengliu.reading
                        where series_id = s.series_id and ts > t.anchor and ts <= least(%(now)s, t.ends)) r
), steps as (
    select finding_id, ts, lead(ts) over (partition by finding_id order by ts) as following from moments
)
select t.finding_id, t.anchor, t.ends, t.interval_s,
       min(s.ts) filter (where coalesce(s.following, %(now)s) - s.ts > t.patience
                           and (s.following is not null or t.ends is null)) as first_from,
       max(s.following) filter (where s.following - s.ts > t.patience) as last_to,
       bool_or(s.following is null and %(now)s::timestamptz - s.ts > t.patience) as lasting,
       count(*) filter (where s.ts > %(now)s::timestamptz - t.patience and s.ts > t.anchor)::int as recent
from touched t
join steps s using (finding_id)
group by t.finding_id, t.anchor, t.ends, t.interval_s
