-- What waits: changes; about how many changed readings they are; for how many seconds the oldest has waited, and the
-- oldest whose readings are all of the last hours (%(live_hours)s). A change of one moment is one reading; a longer
-- one has as many as the meters' intervals put into it, 3600 s where no installation says. Changes of the registry
-- count as no reading.
with runs as materialized (
    select series_id, sum(date_part('epoch', least(to_ts, now()) - from_ts)) as seconds
    from nengliu.change
    where series_id is not null and to_ts > from_ts and from_ts < now()
    group by series_id
), between_ends as (
    select sum(floor(r.seconds / coalesce(i.interval_s, 3600))) as readings
    from runs r
    join nengliu.series e using (series_id)
    left join lateral (
        select min(interval_s) as interval_s
        from nengliu.installation i
        where i.meter = e.meter and i.register = e.register
    ) i on true
)
select count(*),
       count(series_id) + coalesce((select readings from between_ends), 0)::int8,
       coalesce(date_part('epoch', clock_timestamp() - min(marked_at)), 0),
       coalesce(date_part('epoch', clock_timestamp()
           - min(marked_at) filter (where from_ts >= now() - %(live_hours)s * interval '1 hour')), 0)
from nengliu.change
