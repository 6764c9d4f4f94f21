-- Versions of conversion factors (docs/decisions/factors.md), and rules of validation that are set (validation-rules.md).

-- Every version of a factor that was ever in force; nothing of a row changes but superseded_at.
alter table nengliu.factor rename to factor_version;
alter table nengliu.factor_version drop constraint factor_pkey;
alter table nengliu.factor_version
    add column factor_id int generated always as identity primary key,
    add column shipped boolean not null default false,  -- of the table that comes with the software
    add column recorded_at timestamptz not null default clock_timestamp(),
    add column recorded_by text not null default 'nengliu',
    add column superseded_at timestamptz,
    add check (value >= 0 and value < 'infinity'),
    add check (valid_from < valid_to);
update nengliu.factor_version
set shipped = approved_by is null,
    recorded_at = coalesce((select min(imported_at) from nengliu.registry_version), clock_timestamp());
create unique index factor_version_current on nengliu.factor_version (item_code, quantity, valid_from)
    where superseded_at is null;

-- The factors as they are known now; per item and quantity at most one holds on any day.
create view nengliu.factor as
select item_code, quantity, value, unit, valid_from, valid_to, source, confidence, approved_by, shipped, factor_id
from nengliu.factor_version
where superseded_at is null;

create or replace view api.site_energy_hour with (security_barrier) as
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

-- Tonnes of each day of a site; NULL where no factor covers it.
create view nengliu.site_day_tonnes as
select d.site_id, d.item_code, d.period as day, q.quantity,
       d.consumption * (select f.value from nengliu.factor f
                        where f.item_code = left(d.item_code, 2) and f.quantity = q.quantity
                          and f.valid_from <= d.period and d.period + 1 <= f.valid_to) as tonnes
from nengliu.site_period d
cross join (values ('tce'), ('tce_calorific'), ('tco2')) q (quantity)
where d.grain = 'day';

-- A month or year that no single factor covers is the sum of its days, NULL where one of them has none.
create or replace view nengliu.site_energy_period as
select h.grain, s.site_code, s.sector, s.district_code, s.floor_area_m2,
       h.item_code, nengliu.item_unit(h.item_code) as unit, h.period,
       h.consumption, h.estimated, nengliu.completeness(h.covered_s, h.installed_s) as completeness,
       coalesce(h.consumption * (select f.value from nengliu.factor f
                                 where f.item_code = left(h.item_code, 2) and f.quantity = 'tce'
                                   and f.valid_from <= h.period and n.next <= f.valid_to),
                case when h.grain <> 'day' and exists (
                              select from nengliu.factor f
                              where f.item_code = left(h.item_code, 2) and f.quantity = 'tce'
                                and f.valid_from < n.next and f.valid_to > h.period)
                     then (select case when count(*) = count(d.tonnes) then sum(d.tonnes order by d.day) end
                           from nengliu.site_day_tonnes d
                           where d.site_id = h.site_id and d.item_code = h.item_code and d.quantity = 'tce'
                             and d.day >= h.period and d.day < n.next) end) as tce,
       coalesce(h.consumption * (select f.value from nengliu.factor f
                                 where f.item_code = left(h.item_code, 2) and f.quantity = 'tce_calorific'
                                   and f.valid_from <= h.period and n.next <= f.valid_to),
                case when h.grain <> 'day' and exists (
                              select from nengliu.factor f
                              where f.item_code = left(h.item_code, 2) and f.quantity = 'tce_calorific'
                                and f.valid_from < n.next and f.valid_to > h.period)
                     then (select case when count(*) = count(d.tonnes) then sum(d.tonnes order by d.day) end
                           from nengliu.site_day_tonnes d
                           where d.site_id = h.site_id and d.item_code = h.item_code and d.quantity = 'tce_calorific'
                             and d.day >= h.period and d.day < n.next) end) as tce_calorific,
       coalesce(h.consumption * (select f.value from nengliu.factor f
                                 where f.item_code = left(h.item_code, 2) and f.quantity = 'tco2'
                                   and f.valid_from <= h.period and n.next <= f.valid_to),
                case when h.grain <> 'day' and exists (
                              select from nengliu.factor f
                              where f.item_code = left(h.item_code, 2) and f.quantity = 'tco2'
                                and f.valid_from < n.next and f.valid_to > h.period)
                     then (select case when count(*) = count(d.tonnes) then sum(d.tonnes order by d.day) end
                           from nengliu.site_day_tonnes d
                           where d.site_id = h.site_id and d.item_code = h.item_code and d.quantity = 'tco2'
                             and d.day >= h.period and d.day < n.next) end) as tco2
from nengliu.site_period h
join nengliu.site s using (site_id)
cross join lateral (select (h.period + case h.grain when 'day' then interval '1 day'
                                                    when 'month' then interval '1 month'
                                                    else interval '1 year' end)::date as next) n;

-- A version is recorded and superseded, never edited.
revoke update, delete on nengliu.factor_version from nengliu_pipeline;
grant update (superseded_at) on nengliu.factor_version to nengliu_pipeline;
grant select on nengliu.factor to nengliu_pipeline;

-- Parameters of validation that are set for an item (and what it begins), a meter model or a point; NULL: taken back.
create table nengliu.validation_rule (
    scope text not null check (scope in ('item', 'model', 'point')),
    key text not null,
    rule text not null,
    value float8 check (value > 0 and value < 'infinity'),
    note text,
    primary key (scope, key, rule)
);
alter table nengliu.installation add column model text;

alter table nengliu.registry_change drop constraint registry_change_kind_check;
alter table nengliu.registry_change add constraint registry_change_kind_check
    check (kind in ('site', 'point', 'installation', 'rule', 'quota', 'contact'));

grant select, insert, update, delete on nengliu.validation_rule to nengliu_pipeline;
