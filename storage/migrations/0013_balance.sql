-- A total against its sub-meters: views of what is derived, so that nothing is kept twice. Children of a point are those
-- right below it whose item starts with its own; what they do not show is losses, and what no sub-meter measures.
drop view api.balance_hour, api.balance_day, api.balance_month;
drop table nengliu.balance_hour, nengliu.balance_period;

create view api.balance_hour with (security_barrier) as
select s.site_code, p.point_code as parent_point_code, p.item_code, nengliu.item_unit(p.item_code) as unit,
       b.period, b.parent, b.children, b.parent - b.children as difference
from nengliu.point p
join nengliu.site s using (site_id)
cross join lateral (
    select h.hour as period,
           sum(h.consumption order by h.point_id) filter (where h.point_id = p.point_id) as parent,
           coalesce(sum(h.consumption order by h.point_id) filter (where h.point_id <> p.point_id), 0) as children
    from nengliu.point_hour h
    where h.point_id = any (p.point_id || array(
        select c.point_id from nengliu.point c
        where c.parent_point_id = p.point_id and starts_with(c.item_code, p.item_code)))
    group by h.hour
) b
where exists (select from nengliu.point c
              where c.parent_point_id = p.point_id and starts_with(c.item_code, p.item_code));

create view nengliu.balance_period with (security_barrier) as
select s.site_code, p.point_code as parent_point_code, p.item_code, nengliu.item_unit(p.item_code) as unit,
       b.grain, b.period, b.parent, b.children, b.parent - b.children as difference
from nengliu.point p
join nengliu.site s using (site_id)
cross join lateral (
    select d.grain, d.period,
           sum(d.consumption order by d.point_id) filter (where d.point_id = p.point_id) as parent,
           coalesce(sum(d.consumption order by d.point_id) filter (where d.point_id <> p.point_id), 0) as children
    from nengliu.point_period d
    where d.point_id = any (p.point_id || array(
        select c.point_id from nengliu.point c
        where c.parent_point_id = p.point_id and starts_with(c.item_code, p.item_code)))
    group by d.grain, d.period
) b
where exists (select from nengliu.point c
              where c.parent_point_id = p.point_id and starts_with(c.item_code, p.item_code));

create view api.balance_day with (security_barrier) as
select site_code, parent_point_code, item_code, unit, period, parent, children, difference
from nengliu.balance_period where grain = 'day';
create view api.balance_month with (security_barrier) as
select site_code, parent_point_code, item_code, unit, period, parent, children, difference
from nengliu.balance_period where grain = 'month';

grant select on api.balance_hour, api.balance_day, api.balance_month to nengliu_read, nengliu_pipeline;
