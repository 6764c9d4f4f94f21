-- Take away what came since a time of a site's readings: new ones, corrections, verdicts; the first and last time that it
-- touches, NULL for nothing. Only ever in a transaction that is rolled back.
with own as (
    select distinct e.series_id
    from nengliu.site s
    join nengliu.point p using (site_id)
    join nengliu.installation i using (point_id)
    join nengliu.series e on e.meter = i.meter and e.register = i.register
    where s.site_code = %(site)s
), before as (
    select distinct on (v.series_id, v.ts) v.series_id, v.ts, v.value, v.received_at
    from nengliu.reading_version v
    where v.series_id in (select series_id from own) and v.kind = 'superseded'
      and v.received_at <= %(known_at)s and v.recorded_at > %(known_at)s
    order by v.series_id, v.ts, v.recorded_at
), restored as (
    update nengliu.reading r
    set value = b.value, received_at = b.received_at
    from before b
    where r.series_id = b.series_id and r.ts = b.ts
    returning r.ts
), gone as (
    delete from nengliu.reading r
    where r.series_id in (select series_id from own) and r.received_at > %(known_at)s
      and not exists (select from before b where b.series_id = r.series_id and b.ts = r.ts)
    returning r.ts
), unsaid as (
    delete from nengliu.reading_review v
    where v.series_id in (select series_id from own) and v.reviewed_at > %(known_at)s
    returning v.ts
), touched as (
    select ts from restored union all select ts from gone union all select ts from unsaid
)
select min(ts), max(ts) from touched
