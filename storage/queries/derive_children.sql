-- Hours that all children of points measured in full: owner, hour since the epoch, their energy, the point's own (NaN where
-- it did not measure all of the hour), which children they are as a number, and from when on (in microseconds since 1970)
-- readings tell it. A child is a point right below whose item starts with the point's own; it counts in hours in which it
-- was installed and read every hour or more often.
with asked as materialized (
    select * from unnest(%(owners)s::int[], %(points)s::int[], %(from_ts)s::timestamptz[], %(to_ts)s::timestamptz[])
        as a (owner, point_id, from_ts, to_ts)
), child as materialized (
    select distinct p.point_id as parent_id, c.point_id
    from asked a
    join nengliu.point p using (point_id)
    join nengliu.point c on c.parent_point_id = p.point_id and starts_with(c.item_code, p.item_code)
), slow as materialized (
    select c.point_id, i.installed_at, coalesce(i.removed_at, 'infinity') as removed_at
    from child c
    join nengliu.installation i using (point_id)
    where i.interval_s > 3600 and i.register = any (%(registers)s) and i.removed_at is distinct from i.installed_at
), measured as (
    select a.owner, a.point_id as parent_id, h.hour, sum(h.consumption order by h.point_id) as energy, count(*) as children,
           bit_xor(hashint4extended(h.point_id, 0)) as family,
           max(case when o.covered_s > 0 and h.hour + interval '1 hour' > b.ends - o.covered_s * interval '1 second'
                    then b.ends + interval '1 microsecond' else h.hour + interval '1 hour' end) as known
    from asked a
    join child c on c.parent_id = a.point_id
    join nengliu.point_hour h on h.point_id = c.point_id and h.hour > a.from_ts - interval '1 hour' and h.hour < a.to_ts
    cross join lateral (select (h.hour at time zone %(zone)s)::date as day) d
    cross join lateral (select (d.day + 1)::timestamp at time zone %(zone)s as ends) b
    left join nengliu.point_day_open o on o.point_id = c.point_id and o.day = d.day
    where h.estimated = 0 and h.covered_s = 3600
      and h.hour > %(first)s::timestamptz - interval '1 hour' and h.hour < %(last)s::timestamptz
      and not exists (select from slow s where s.point_id = h.point_id
                                           and s.installed_at < h.hour + interval '1 hour' and s.removed_at > h.hour)
    group by a.owner, a.point_id, h.hour
)
select m.owner, (extract(epoch from m.hour) / 3600)::bigint, m.energy, coalesce(own.consumption, 'NaN'), m.family,
       (extract(epoch from m.known) * 1000000)::bigint
from measured m
left join nengliu.point_hour own on own.point_id = m.parent_id and own.hour = m.hour
    and own.estimated = 0 and own.covered_s = 3600
    and own.hour > %(first)s::timestamptz - interval '1 hour' and own.hour < %(last)s::timestamptz
where m.children = (
    select count(distinct c.point_id)
    from child c
    join nengliu.point_span s using (point_id)
    where c.parent_id = m.parent_id and s.from_ts < m.hour + interval '1 hour' and s.to_ts > m.hour
      and not exists (select from slow w where w.point_id = c.point_id
                                           and w.installed_at < m.hour + interval '1 hour' and w.removed_at > m.hour))
order by m.owner, m.hour
