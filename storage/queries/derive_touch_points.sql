-- The local days, months and years that the windows of points touch.
insert into derive_touch
select grain, id, lower(days), upper(days),
       lower(days)::timestamp at time zone %(zone)s,
       upper(days)::timestamp at time zone %(zone)s
from (
    select g.grain, w.point_id as id, unnest(range_agg(daterange(
        date_trunc(g.grain::text, w.from_ts at time zone %(zone)s)::date,
        (date_trunc(g.grain::text, (w.to_ts - interval '1 microsecond') at time zone %(zone)s)
         + ('1 ' || g.grain)::interval)::date))) as days
    from derive_window w
    cross join unnest(enum_range(null::nengliu.grain)) g (grain)
    group by g.grain, w.point_id
) t
