-- A day or month of a total against its sub-meters: of the hours that the total has, so that a total that was installed or
-- silent for a part of it is not held against all that its sub-meters used. Where it has all hours, periods say it; hours
-- only where not. Before, both sides were whole periods, whatever of them the total had.
create or replace view nengliu.balance_period with (security_barrier) as
select s.site_code, p.point_code as parent_point_code, p.item_code, nengliu.item_unit(p.item_code) as unit,
       b.grain, b.period, b.parent, b.children, b.parent - b.children as difference
from nengliu.point p
join nengliu.site s using (site_id)
cross join lateral (
    select array(select c.point_id from nengliu.point c
                 where c.parent_point_id = p.point_id and starts_with(c.item_code, p.item_code)
                 order by c.point_id) as members
) k
cross join lateral (
    select d.grain, d.period, d.consumption as parent,
           coalesce(case when d.covered_s >= extract(epoch from t.ends - t.begins) then (
               select sum(c.consumption order by c.point_id)
               from nengliu.point_period c
               where c.grain = d.grain and c.period = d.period and c.point_id = any (k.members)
           ) else (
               select sum(c.consumption order by c.point_id, c.hour)
               from nengliu.point_hour h
               join nengliu.point_hour c on c.hour = h.hour and c.point_id = any (k.members)
               where h.point_id = p.point_id and h.hour >= t.begins and h.hour < t.ends
                 and c.hour >= t.begins and c.hour < t.ends
           ) end, 0) as children
    from nengliu.point_period d
    cross join nengliu.node n
    cross join lateral (
        select d.period::timestamp at time zone n.timezone as begins,
               (d.period + ('1 ' || d.grain)::interval) at time zone n.timezone as ends
    ) t
    where d.point_id = p.point_id and d.grain in ('day', 'month')
) b
where k.members <> '{}';
