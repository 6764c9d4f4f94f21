-- The quota ledger (docs/decisions/quota-ledger.md): who approved a limit, its months, its norm; states of quotas by area.
alter table nengliu.quota
    add column approved_by text,
    add column note text,
    add column monthly_plan float8[] not null default '{}',  -- as given: 12 values, or 12 shares of a computed limit
    add column norm text;

-- months: 12 values that sum to the limit, as numerics exactly.
alter table nengliu.quota_limit
    add column approved_by text,
    add column note text,
    add column months numeric[] check (cardinality(months) = 12),
    add column months_source text check (months_source in ('given', 'shares')),
    add check ((months is null) = (months_source is null));

create index quota_limit_of_quota on nengliu.quota_limit (quota_id);
create index alert_of_month on nengliu.alert (site_id) where rule = 'quota_monthly_over';

create or replace view api.quota with (security_barrier) as
select s.site_code, q.item_code, q.year, l.limit_value, nengliu.item_unit(q.item_code) as unit,
       coalesce(l.method, q.method) as method, coalesce(l.source, q.source) as source,
       q.effective_from, l.superseded_at, l.recorded_at,
       case when l.quota_limit_id is null then q.approved_by else l.approved_by end as approved_by,
       case when l.quota_limit_id is null then q.note else l.note end as note
from nengliu.quota q
join nengliu.site s using (site_id)
left join nengliu.quota_limit l using (quota_id);

-- Monthly plans of limits, every version. source: the months were given, or are shares of a computed limit.
create view api.quota_month with (security_barrier) as
select s.site_code, q.item_code, q.year, m.month::int as month, m.plan_value, l.months_source as source,
       nengliu.item_unit(q.item_code) as unit, q.effective_from, l.recorded_at, l.superseded_at
from nengliu.quota q
join nengliu.site s using (site_id)
join nengliu.quota_limit l using (quota_id)
cross join lateral unnest(l.months) with ordinality m (plan_value, month);

-- The newest assessment of every site, item and year: one look into the primary key for each that may have been assessed,
-- those of metered two-character items from their first year on, and those with a quota.
create view api.quota_state with (security_barrier) as
select s.site_code, s.name, s.sector, s.building_type, s.district_code, s.floor_area_m2,
       k.item_code, nengliu.item_unit(k.item_code) as unit, k.year, a.as_of, a.used, a.limit_value,
       a.used / nullif(a.limit_value, 0) as used_ratio, a.forecast_p10, a.forecast_p50, a.forecast_p90,
       a.exhaustion_date, a.level, a.completeness, a.assessed_at
from nengliu.site s
cross join nengliu.node n
cross join lateral (
    select r.item_code, y.year
    from (select item_code, min(from_ts) as since
          from nengliu.root_span
          where site_id = s.site_id and length(item_code) = 2
          group by item_code) r
    cross join lateral generate_series(extract(year from r.since at time zone n.timezone)::int,
                                       extract(year from now() at time zone n.timezone)::int) y (year)
    union
    select item_code, year
    from nengliu.quota
    where site_id = s.site_id
) k
cross join lateral (
    select q.as_of, q.used, q.limit_value, q.forecast_p10, q.forecast_p50, q.forecast_p90, q.exhaustion_date,
           q.level, q.completeness, q.assessed_at
    from nengliu.quota_assessment q
    where q.site_id = s.site_id and q.item_code = k.item_code and q.year = k.year
    order by q.as_of desc, q.assessed_at desc
    limit 1
) a;

-- How many sites of an area are at each level of quota, and their shares of its sites, energy and floor area.
create view api.quota_state_area with (security_barrier) as
select level, code, item_code, unit, year, quota_level, sites, used, floor_area_m2,
       (sites / sum(sites) over area)::float8 as sites_share,
       used / nullif(sum(used) over area, 0) as used_share,
       floor_area_m2 / nullif(sum(floor_area_m2) over area, 0) as floor_area_share
from (
    select a.level, a.code, q.item_code, q.unit, q.year, q.level as quota_level, count(*) as sites,
           sum(q.used) as used, sum(q.floor_area_m2) as floor_area_m2
    from api.quota_state q
    cross join lateral (values ('city', (select name from nengliu.node)),
                               ('sector', q.sector),
                               ('district', q.district_code),
                               ('building_type', q.building_type)) a (level, code)
    where a.code is not null
    group by a.level, a.code, q.item_code, q.unit, q.year, q.level
) g
window area as (partition by level, code, item_code, year);

grant select on api.quota_month, api.quota_state, api.quota_state_area to nengliu_read, nengliu_pipeline;
