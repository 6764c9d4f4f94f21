-- Days of the totals among points and right above them, of those that they and all their sub-meters of then measured
-- wholly: with the sum of these. A family with a member that is read less often than every hour has none.
with near as (
    select unnest(%(points)s::int[]) as point_id
    union
    select p.parent_point_id from nengliu.point p where p.point_id = any (%(points)s) and p.parent_point_id is not null
), member as (
    select t.point_id as total_id, t.item_code, c.point_id
    from near
    join nengliu.point t using (point_id)
    join nengliu.point c on c.parent_point_id = t.point_id and starts_with(c.item_code, t.item_code)
), total as (
    select distinct m.total_id, m.item_code
    from member m
    where not exists (
        select from nengliu.installation i
        where i.interval_s > 3600 and i.removed_at is distinct from i.installed_at
          and (i.point_id = m.total_id
               or i.point_id in (select o.point_id from member o where o.total_id = m.total_id)))
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
  and k.read = (select count(distinct m.point_id)
                from member m
                join nengliu.point_span s on s.point_id = m.point_id and s.from_ts < b.ends and s.to_ts > b.begins
                where m.total_id = t.total_id)
order by t.total_id, d.period
