-- What waits: changes; about how many changed readings they are; for how many seconds the oldest has waited, and the
-- oldest whose readings are all of the last hours (%(live_hours)s). A change of one moment is one reading; a longer
-- one has as many as the meters' intervals put into it, 3600 s where no installation says. Changes of the registry
-- count as no reading.
with waiting as (
    select series_id, from_ts, least(to_ts, now()) as to_ts, marked_at,
           from_ts >= now() - %(live_hours)s * interval '1 hour' as live
    from nengliu.change
), runs as (
    select series_id, sum(extract(epoch from to_ts - from_ts)) as seconds, count(*) as runs
    from waiting
    where series_id is not null and to_ts > from_ts
    group by series_id
), intervals as (
    select e.series_id, min(i.interval_s) as interval_s
    from nengliu.series e
    join nengliu.installation i on i.meter = e.meter and i.register = e.register
    where e.series_id in (select series_id from runs)
    group by e.series_id
), long as (
    select coalesce(sum(r.runs + r.seconds / coalesce(i.interval_s, 3600)), 0) as readings
    from runs r left join intervals i using (series_id)
)
select count(*),
       (count(*) filter (where series_id is not null and to_ts <= from_ts) + (select readings from long))::int8,
       coalesce(extract(epoch from clock_timestamp() - min(marked_at)), 0)::float8,
       coalesce(extract(epoch from clock_timestamp() - min(marked_at) filter (where live)), 0)::float8
from waiting
