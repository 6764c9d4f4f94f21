-- Schema api: the read-only views that Grafana, reports, partners and acceptance checks read, and nothing else.

create view api.site with (security_barrier) as
select site_code, name, kind, sector, building_type, district_code, floor_area_m2
from nengliu.site;

create view api.reading with (security_barrier) as
select s.site_code, p.point_code, e.meter, e.register, r.ts, r.value, r.received_at
from nengliu.reading r
join nengliu.series e using (series_id)
left join nengliu.installation i
    on i.meter = e.meter and i.register = e.register
    and i.installed_at <= r.ts and (i.removed_at is null or r.ts < i.removed_at)
left join nengliu.point p using (point_id)
left join nengliu.site s on s.site_id = p.site_id;

-- Completeness (0..1) from covered and installed seconds; rounding errors do not show.
create function nengliu.completeness(covered_s float8, installed_s float8) returns float8
language sql immutable parallel safe as
$$ select case when installed_s > 0 then least(1.0, greatest(0.0, covered_s / installed_s)) end $$;

create function nengliu.item_unit(item_code text) returns text
language sql immutable parallel safe as
$$ select case left(item_code, 2)
       when '01' then 'kWh' when '02' then 'm3' when '03' then 'm3' when '04' then 'GJ' when '05' then 'GJ'
       when '07' then 'kg' when '08' then 'kg' when '09' then 'm3' when '10' then 'kg' when '11' then 'kg'
       when '12' then 'kg' when '13' then 'kWh' when 'tc' then case item_code when 'tce' then 'tce' else 'tCO2' end
       else '' end $$;

-- Tonnes per unit of an item, where one version covers the whole period; else NULL. Views look factors and the zone up
-- themselves: a function would do so with the rights of the reader, who has none on these tables.

create view api.energy_hour with (security_barrier) as
select s.site_code, p.point_code, p.item_code, nengliu.item_unit(p.item_code) as unit, h.hour as period,
       h.consumption, h.estimated, nengliu.completeness(h.covered_s, h.installed_s) as completeness
from nengliu.point_hour h join nengliu.point p using (point_id) join nengliu.site s using (site_id);

create view api.energy_day with (security_barrier) as
select s.site_code, p.point_code, p.item_code, nengliu.item_unit(p.item_code) as unit, h.period,
       h.consumption, h.estimated, nengliu.completeness(h.covered_s, h.installed_s) as completeness
from nengliu.point_period h join nengliu.point p using (point_id) join nengliu.site s using (site_id)
where h.grain = 'day';

create view api.energy_month with (security_barrier) as
select s.site_code, p.point_code, p.item_code, nengliu.item_unit(p.item_code) as unit, h.period,
       h.consumption, h.estimated, nengliu.completeness(h.covered_s, h.installed_s) as completeness
from nengliu.point_period h join nengliu.point p using (point_id) join nengliu.site s using (site_id)
where h.grain = 'month';

create view api.energy_year with (security_barrier) as
select s.site_code, p.point_code, p.item_code, nengliu.item_unit(p.item_code) as unit, h.period,
       h.consumption, h.estimated, nengliu.completeness(h.covered_s, h.installed_s) as completeness
from nengliu.point_period h join nengliu.point p using (point_id) join nengliu.site s using (site_id)
where h.grain = 'year';

create view api.site_energy_hour with (security_barrier) as
select s.site_code, h.item_code, nengliu.item_unit(h.item_code) as unit, h.hour as period,
       h.consumption, h.estimated, nengliu.completeness(h.covered_s, h.installed_s) as completeness,
       h.consumption * (select f.value from nengliu.factor f
                        where f.item_code = left(h.item_code, 2) and f.quantity = 'tce'
                          and f.valid_from <= d.day and d.day + 1 <= f.valid_to) as tce,
       h.consumption * (select f.value from nengliu.factor f
                        where f.item_code = left(h.item_code, 2) and f.quantity = 'tce_calorific'
                          and f.valid_from <= d.day and d.day + 1 <= f.valid_to) as tce_calorific,
       h.consumption * (select f.value from nengliu.factor f
                        where f.item_code = left(h.item_code, 2) and f.quantity = 'tco2'
                          and f.valid_from <= d.day and d.day + 1 <= f.valid_to) as tco2
from nengliu.site_hour h
join nengliu.site s using (site_id)
cross join lateral (select (h.hour at time zone (select timezone from nengliu.node))::date as day) d;

-- One definition for the three local grains.
create view nengliu.site_energy_period as
select h.grain, s.site_code, s.sector, s.district_code, s.floor_area_m2,
       h.item_code, nengliu.item_unit(h.item_code) as unit, h.period,
       h.consumption, h.estimated, nengliu.completeness(h.covered_s, h.installed_s) as completeness,
       h.consumption * (select f.value from nengliu.factor f
                        where f.item_code = left(h.item_code, 2) and f.quantity = 'tce'
                          and f.valid_from <= h.period and n.next <= f.valid_to) as tce,
       h.consumption * (select f.value from nengliu.factor f
                        where f.item_code = left(h.item_code, 2) and f.quantity = 'tce_calorific'
                          and f.valid_from <= h.period and n.next <= f.valid_to) as tce_calorific,
       h.consumption * (select f.value from nengliu.factor f
                        where f.item_code = left(h.item_code, 2) and f.quantity = 'tco2'
                          and f.valid_from <= h.period and n.next <= f.valid_to) as tco2
from nengliu.site_period h
join nengliu.site s using (site_id)
cross join lateral (select (h.period + case h.grain when 'day' then interval '1 day'
                                                    when 'month' then interval '1 month'
                                                    else interval '1 year' end)::date as next) n;

create view api.site_energy_day with (security_barrier) as
select site_code, item_code, unit, period, consumption, estimated, completeness, tce, tce_calorific, tco2
from nengliu.site_energy_period where grain = 'day';

create view api.site_energy_month with (security_barrier) as
select site_code, item_code, unit, period, consumption, estimated, completeness, tce, tce_calorific, tco2
from nengliu.site_energy_period where grain = 'month';

create view api.site_energy_year with (security_barrier) as
select site_code, item_code, unit, period, consumption, estimated, completeness, tce, tce_calorific, tco2
from nengliu.site_energy_period where grain = 'year';

create view nengliu.area_energy_period as
select e.grain, a.level, a.code, e.item_code, e.unit, e.period,
       sum(e.consumption) as consumption, sum(e.estimated) as estimated, avg(e.completeness) as completeness,
       sum(e.tce) as tce, sum(e.tce_calorific) as tce_calorific, sum(e.tco2) as tco2,
       count(*) as sites, sum(e.floor_area_m2) as floor_area_m2
from nengliu.site_energy_period e
cross join lateral (values ('city', (select name from nengliu.node)),
                           ('sector', e.sector),
                           ('district', e.district_code)) a (level, code)
where a.code is not null
group by e.grain, a.level, a.code, e.item_code, e.unit, e.period;

create view api.area_energy_day with (security_barrier) as
select level, code, item_code, unit, period, consumption, estimated, completeness, tce, tce_calorific, tco2,
       sites, floor_area_m2
from nengliu.area_energy_period where grain = 'day';

create view api.area_energy_month with (security_barrier) as
select level, code, item_code, unit, period, consumption, estimated, completeness, tce, tce_calorific, tco2,
       sites, floor_area_m2
from nengliu.area_energy_period where grain = 'month';

create view api.area_energy_year with (security_barrier) as
select level, code, item_code, unit, period, consumption, estimated, completeness, tce, tce_calorific, tco2,
       sites, floor_area_m2
from nengliu.area_energy_period where grain = 'year';

create view api.quota with (security_barrier) as
select s.site_code, q.item_code, q.year, l.limit_value, nengliu.item_unit(q.item_code) as unit,
       coalesce(l.method, q.method) as method, coalesce(l.source, q.source) as source,
       q.effective_from, l.superseded_at
from nengliu.quota q
join nengliu.site s using (site_id)
left join nengliu.quota_limit l using (quota_id);

create view api.quota_assessment with (security_barrier) as
select distinct on (s.site_code, a.item_code, a.year, a.as_of)
       s.site_code, a.item_code, a.year, a.as_of, a.used, a.limit_value, a.used / nullif(a.limit_value, 0) as used_ratio,
       a.forecast_p10, a.forecast_p50, a.forecast_p90, a.exhaustion_date, a.level, a.completeness, a.assessed_at
from nengliu.quota_assessment a join nengliu.site s using (site_id)
order by s.site_code, a.item_code, a.year, a.as_of, a.assessed_at desc;

create view api.alert with (security_barrier) as
select a.alert_id, s.site_code, a.rule, a.severity, a.state, a.subject, a.opened_at, a.confirmed_at,
       a.acknowledged_at, a.resolved_at, a.evidence
from nengliu.alert a join nengliu.site s using (site_id);

create view api.alert_transition with (security_barrier) as
select alert_id, at, from_state, to_state, actor, note
from nengliu.alert_transition;

create view api.reject with (security_barrier) as
select received_at, gateway, source_topic, reason, detail, requeued_at
from nengliu.reject;

create view api.gateway_status with (security_barrier) as
select gateway, state, since, last_reading, clock_offset_s, outbox_depth, outbox_oldest
from nengliu.gateway;

create view api.finding with (security_barrier) as
select s.site_code, p.point_code, f.meter, f.register, f.kind, f.starts, f.ends, f.severity, f.state, f.detail,
       f.found_at
from nengliu.finding f
left join nengliu.point p using (point_id)
left join nengliu.site s on s.site_id = coalesce(f.site_id, p.site_id);

-- Parent against children: empty until balances are derived.
create table nengliu.balance_hour (
    parent_point_id int not null,
    hour timestamptz not null,
    parent float8,
    children float8,
    primary key (parent_point_id, hour)
);
create table nengliu.balance_period (
    grain nengliu.grain not null,
    parent_point_id int not null,
    period date not null,
    parent float8,
    children float8,
    primary key (grain, parent_point_id, period)
);

create view api.balance_hour with (security_barrier) as
select s.site_code, p.point_code as parent_point_code, p.item_code, nengliu.item_unit(p.item_code) as unit,
       b.hour as period, b.parent, b.children, b.parent - b.children as difference
from nengliu.balance_hour b
join nengliu.point p on p.point_id = b.parent_point_id join nengliu.site s using (site_id);

create view api.balance_day with (security_barrier) as
select s.site_code, p.point_code as parent_point_code, p.item_code, nengliu.item_unit(p.item_code) as unit,
       b.period, b.parent, b.children, b.parent - b.children as difference
from nengliu.balance_period b
join nengliu.point p on p.point_id = b.parent_point_id join nengliu.site s using (site_id)
where b.grain = 'day';

create view api.balance_month with (security_barrier) as
select s.site_code, p.point_code as parent_point_code, p.item_code, nengliu.item_unit(p.item_code) as unit,
       b.period, b.parent, b.children, b.parent - b.children as difference
from nengliu.balance_period b
join nengliu.point p on p.point_id = b.parent_point_id join nengliu.site s using (site_id)
where b.grain = 'month';

-- missing is NULL until sequence numbers are reconciled.
create view api.ingest_ledger with (security_barrier) as
select day, gateway, received, stored, repeated, conflicting, rejected, null::bigint as missing
from nengliu.ingest_ledger;

grant select, insert, update, delete on nengliu.balance_hour, nengliu.balance_period to nengliu_pipeline;
grant usage on schema api to nengliu_read, nengliu_pipeline;
grant select on all tables in schema api to nengliu_read, nengliu_pipeline;
