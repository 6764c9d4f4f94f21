-- A quota whose limit fell away has a row without a limit, as one that never had any; states of quotas by size of building.
create or replace view api.quota with (security_barrier) as
select s.site_code, q.item_code, q.year, l.limit_value, nengliu.item_unit(q.item_code) as unit,
       coalesce(l.method, q.method) as method, coalesce(l.source, q.source) as source,
       q.effective_from, l.superseded_at, l.recorded_at,
       case when l.quota_limit_id is null then q.approved_by else l.approved_by end as approved_by,
       case when l.quota_limit_id is null then q.note else l.note end as note
from nengliu.quota q
join nengliu.site s using (site_id)
cross join lateral (
    select v.quota_limit_id, v.limit_value, v.method, v.source, v.approved_by, v.note, v.recorded_at, v.superseded_at
    from nengliu.quota_limit v
    where v.quota_id = q.quota_id
    union all
    select null, null, null, null, null, null, null, null
    where not exists (select from nengliu.quota_limit v where v.quota_id = q.quota_id and v.superseded_at is null)
) l;

-- size_class: large public buildings have more than 20,000 m2 (the class of Beijing's figures of 2019: 1,680 buildings);
-- NULL where the floor area is not known.
create or replace view api.quota_state with (security_barrier) as
select s.site_code, s.name, s.sector, s.building_type, s.district_code, s.floor_area_m2,
       k.item_code, nengliu.item_unit(k.item_code) as unit, k.year, a.as_of, a.used, a.limit_value,
       a.used / nullif(a.limit_value, 0) as used_ratio, a.forecast_p10, a.forecast_p50, a.forecast_p90,
       a.exhaustion_date, a.level, a.completeness, a.assessed_at,
       case when s.floor_area_m2 is null then null
            when s.floor_area_m2 > 20000 and s.kind in ('building', 'public_institution') then 'large_public'
            else 'other' end as size_class
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

create or replace view api.quota_state_area with (security_barrier) as
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
                               ('building_type', q.building_type),
                               ('size', q.size_class)) a (level, code)
    where a.code is not null
    group by a.level, a.code, q.item_code, q.unit, q.year, q.level
) g
window area as (partition by level, code, item_code, year);
