-- Totals are told by their sub-meters by other rules than before: derived again, and their balances judged again.
insert into nengliu.change (site_id, point_id, from_ts, to_ts)
select p.site_id, p.point_id, '-infinity', 'infinity'
from nengliu.point p
where exists (select from nengliu.point c where c.parent_point_id = p.point_id);

insert into nengliu.level_due (point_id, from_day, to_day)
select d.point_id, min(d.period), max(d.period)
from nengliu.point_period d
join nengliu.point p using (point_id)
where d.grain = 'day'
  and (p.parent_point_id is not null or exists (select from nengliu.point c where c.parent_point_id = p.point_id))
group by d.point_id, (d.period - date '1970-01-05') / 28;

-- The balance of hours, too, is of those that the total has.
create or replace view api.balance_hour with (security_barrier) as
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
    having bool_or(h.point_id = p.point_id)
) b
where exists (select from nengliu.point c
              where c.parent_point_id = p.point_id and starts_with(c.item_code, p.item_code));

-- Looks for silences ask for the installations behind a gateway.
create index installation_gateway on nengliu.installation (gateway);
