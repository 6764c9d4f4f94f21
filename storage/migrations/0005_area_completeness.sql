-- An area is the mean of its sites, also of those that were silent for a whole period and have no row for it: they
-- had a meter installed, and nothing of its time is covered.

create view nengliu.area_energy_sum as
select e.grain, a.level, a.code, e.item_code, e.unit, e.period,
       sum(e.consumption) as consumption, sum(e.estimated) as estimated,
       sum(e.completeness) as completeness, count(e.completeness) as measured,
       sum(e.tce) as tce, sum(e.tce_calorific) as tce_calorific, sum(e.tco2) as tco2,
       count(*) as sites, sum(e.floor_area_m2) as floor_area_m2
from nengliu.site_energy_period e
cross join lateral (values ('city', (select name from nengliu.node)),
                           ('sector', e.sector),
                           ('district', e.district_code)) a (level, code)
where a.code is not null
group by e.grain, a.level, a.code, e.item_code, e.unit, e.period;

create or replace view nengliu.area_energy_period as
select f.grain, f.level, f.code, f.item_code, f.unit, f.period, f.consumption, f.estimated,
       f.completeness / nullif(greatest(f.measured, i.sites), 0) as completeness,
       f.tce, f.tce_calorific, f.tco2, f.sites, f.floor_area_m2
from nengliu.area_energy_sum f
cross join lateral (select timezone from nengliu.node limit 1) z
cross join lateral (
    select f.period::timestamp at time zone z.timezone as begins,
           (f.period + case f.grain when 'day' then interval '1 day'
                                    when 'month' then interval '1 month'
                                    else interval '1 year' end) at time zone z.timezone as ends
) b
left join lateral (  -- left: not looked at by a query that does not ask for completeness
    select count(distinct r.site_id) as sites
    from nengliu.root_span r
    join nengliu.site s using (site_id)
    where r.item_code = f.item_code and r.from_ts < b.ends and r.to_ts > b.begins
      and f.code = case f.level when 'city' then f.code when 'sector' then s.sector else s.district_code end
) i on true;

create index root_span_item on nengliu.root_span (item_code, site_id);
