-- Values in the tables by the local day of their first receipt: those that were stored (what a correction replaced
-- was, too), and conflicts kept beside; readings that retention dropped were counted when they were.
with bounds as (
    select min(day)::timestamp at time zone nengliu.local_zone() as low,
           (max(day) + 1)::timestamp at time zone nengliu.local_zone() as high
    from unnest(%(days)s::date[]) as u (day)
), counted as (
    select (received_at at time zone nengliu.local_zone())::date as day, count(*) as stored, 0::bigint as conflicting
    from nengliu.reading, bounds
    where received_at >= low and received_at < high
    group by 1
    union all
    select (received_at at time zone nengliu.local_zone())::date, count(*) filter (where kind = 'superseded'),
           count(*) filter (where kind = 'conflict')
    from nengliu.reading_version, bounds
    where received_at >= low and received_at < high
    group by 1
    union all
    select day, readings, 0 from nengliu.reading_dropped where day = any (%(days)s::date[])
)
select day, sum(stored)::bigint as stored, sum(conflicting)::bigint as conflicting from counted group by day
