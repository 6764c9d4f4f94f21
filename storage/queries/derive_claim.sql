-- Sites with changes, the one that waits longest first, that no other worker has; locked until the transaction ends.
-- live: by their changes of the last hours (%(live_hours)s) alone; else sites that have older ones, by all. hours: about
-- how many hours of points these changes span. All changes are looked at once, so that only has what it must.
with claimed as materialized (
    select s.site_id, w.first
    from (
        select site_id, min(change_id) as first
        from nengliu.change
        where site_id is not null and site_id <> all (%(claimed)s)
          and (not %(live)s or from_ts >= now() - %(live_hours)s * interval '1 hour')
        group by site_id
        having %(live)s or min(from_ts) < now() - %(live_hours)s * interval '1 hour'
    ) w
    join nengliu.site s using (site_id)
    order by w.first
    limit %(sites)s
    for no key update of s skip locked
)
select site_id, h.hours
from claimed
cross join lateral (
    select sum(least(%(whole_hours)s, greatest(0, date_part('epoch',
               least(to_ts, now()) - greatest(from_ts, timestamptz '2000-01-01 UTC')) / 3600)) + 2) as hours
    from nengliu.change c
    where c.site_id = claimed.site_id
      and (not %(live)s or from_ts >= now() - %(live_hours)s * interval '1 hour')
) h
order by first
