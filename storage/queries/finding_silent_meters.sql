-- Meters of installations that are open at `now`, without a reading for longer than they may be silent and without a
-- finding that says so. Not those behind gateways that are silent themselves (`without`), or were until just now.
-- A reading after `now` ends what was before it: that is found from the readings (storage/silences.py).
-- oldest: before every moment that counts, so that only the newest chunks are looked into.
with installed as (
    select i.meter, min(i.gateway) as gateway, min(i.point_id) as point_id, min(i.interval_s) as interval_s,
           min(i.installed_at) as installed_at, array_agg(distinct i.register order by i.register) as registers,
           %(now)s::timestamptz - greatest(min(i.interval_s) * %(intervals)s::float8, %(floor_s)s::float8)
               * interval '1 s' as heard_from
    from nengliu.installation i
    where i.installed_at <= %(now)s and (i.removed_at is null or i.removed_at > %(now)s)
      and i.gateway <> all (%(without)s::text[])
    group by i.meter
), silent as (
    select m.*
    from installed m
    where m.installed_at < m.heard_from
      and not exists (select
                      from nengliu.series s
                      cross join lateral (select from nengliu.reading r
                                          where r.series_id = s.series_id and r.ts > m.heard_from
                                            and r.ts > %(oldest)s
                                          limit 1) heard
                      where s.meter = m.meter)
      and not exists (select from nengliu.finding f
                      where f.kind = 'silent_meter' and f.subject = m.meter and f.state = 'open' and f.ends is null)
      and not exists (select from nengliu.finding f
                      where f.kind = 'silent_gateway' and f.gateway = m.gateway and f.state = 'open'
                        and f.ends > m.heard_from)
)
select s.meter, s.gateway, s.point_id, s.interval_s, s.installed_at, s.registers,
       (select max(l.ts)
        from nengliu.series e
        cross join lateral (select r.ts from nengliu.reading r
                            where r.series_id = e.series_id and r.ts >= s.installed_at and r.ts <= %(now)s
                            order by r.ts desc limit 1) l
        where e.meter = s.meter) as last_reading
from silent s
