-- Days of the totals among points and right above them, of those that they and all their sub-meters of then measured
-- wholly: with the sum of these. Days on which one of them is read less often than every hour are none.
with near as (
    select unnest(%(points)s::int[]) as point_id
    union
    select p.parent_point_id from nengliu.point p where p.point_id = any (%(points)s) and p.parent_point_id is not null
), member as (
    select t.point_id as total_id, c.point_id
    from near
    join nengliu.point t using (point_id)
    join nengliu.point c on c.parent_point_id = t.point_id and starts_with(c.item_code, t.item_code)
), total as (
    select distinct total_id from member
), slow as materialized (
    select f.total_id, i.installed_at, coalesce(i.removed_at, 'infinity') as removed_at
    from (select total_id, point_id from member union select total_id, total_id from total) f
    join nengliu.installation i using (point_id)
    where i.interval_s > 3600 and i.register = any (%(registers)s) and i.removed_at is distinct from i.installed_at
)
select t.total_id, d.period, d.consumption, k.energy
from total t
join nengliu.point_period d on d.point_id = t.total_id and d.grain = 'day'
    and d.period >= %(from_day)s and d.period < %(to_day)s and d.estimated = 0
cross join lateral (
    select d.period::timestamp at time zone %(zone)s as begins, (d.period + 1)::timestamp at time zone %(zone)s as ends
) b
cross join lateral (
    select sum(c.consumption order by c.point_id) as energy, count(*) as read
    from member m
    join nengliu.point_period c on c.point_id = m.point_id and c.grain = 'day' and c.period = d.period
    where m.total_id = t.total_id and c.estimated = 0 and c.covered_s = extract(epoch from b.ends - b.begins)
) k
where d.covered_s = extract(epoch from b.ends - b.begins) and k.read > 0
  and not exists (select from slow s
                  where s.total_id = t.total_id and s.installed_at < b.ends and s.removed_at > b.begins)
  and k.read = (select count(distinct m.point_id)
                from member m
                join nengliu.point_span s on s.point_id = m.point_id and s.from_ts < b.ends and s.to_ts > b.begins
                where m.total_id = t.total_id)
order by t.total_id, d.period
