-- Two sites of two districts, one over its limit in 2014, with a year of days before it; small but of every kind.
set search_path = nengliu, public;

insert into site (site_code, name, kind, sector, building_type, district_code, floor_area_m2) values
    ('110108A001', '甲楼 · House A', 'building', 'buildings', 'A', '110108', 5000),
    ('110105B002', '乙楼 <b>& co</b> · House B', 'enterprise', 'industry', null, null, null);

insert into point (point_code, site_id, item_code, name)
select site_code || '-01', site_id, '01', 'total' from site;

insert into point_period (grain, point_id, period, consumption, estimated, covered_s, installed_s)
select 'day', point_id, d::date, 100, 1, 86000, 86400
from point, generate_series(date '2013-01-01', date '2014-12-31', interval '1 day') d;

insert into site_period (grain, site_id, item_code, period, consumption, estimated, covered_s, installed_s)
select 'day', site_id, '01', d::date, 100 + extract(month from d), 1, 86000, 86400
from site, generate_series(date '2013-01-01', date '2014-12-31', interval '1 day') d;

insert into site_period (grain, site_id, item_code, period, consumption, estimated, covered_s, installed_s)
select g::grain, site_id, item_code, date_trunc(g, period)::date, sum(consumption), sum(estimated), sum(covered_s),
       sum(installed_s)
from site_period, unnest(array['month', 'year']) g
group by g, site_id, item_code, date_trunc(g, period);

insert into site_hour (site_id, item_code, hour, consumption, estimated, covered_s, installed_s, revision)
select site_id, '01', h, 5, 0, 3600, 3600, 1
from site, generate_series(timestamptz '2013-12-31 16:00Z', '2014-01-01 15:00Z', interval '1 hour') h;

insert into factor (item_code, quantity, value, unit, valid_from, valid_to, source, confidence)
values ('01', 'tco2', 0.0006, 't/kWh', '1990-01-01', '2090-01-01', 'test', 'none')
on conflict do nothing;

insert into quota (site_id, item_code, year, method, base_years, reduction_percent, source, effective_from)
select site_id, '01', 2014, 'base_year', '{2013}', 6, '测试 · test', '2014-01-01' from site;

insert into quota_limit (quota_id, limit_value, method, source, basis)
select quota_id, case when site_code = '110108A001' then 36000 else 40000 end, 'base_year', '测试 · test', '{}'
from quota join site using (site_id);

insert into quota_assessment (site_id, item_code, year, as_of, used, limit_value, forecast_p10, forecast_p50,
                              forecast_p90, level, completeness, method)
select a.site_id, '01', 2014, a.period, a.used, l.limit_value, a.used + (365 - a.n) * 100, a.used + (365 - a.n) * 105,
       a.used + (365 - a.n) * 110,
       case when a.used > l.limit_value then 'over' when a.used + (365 - a.n) * 105 > l.limit_value then 'warning'
            else 'normal' end, 0.995, 'test'
from (select site_id, period, sum(consumption) over w as used, row_number() over w as n
      from site_period where grain = 'day' and period >= '2014-01-01'
      window w as (partition by site_id order by period)) a
join quota using (site_id) join quota_limit l using (quota_id);

insert into alert (site_id, item_code, year, rule, severity, state, subject, opened_at, told_at, evidence)
select s.site_id, '01', 2014, 'quota_forecast_over', 'warning', 'confirmed', s.site_code || '/01/2014',
       (f.as_of + 1)::timestamp at time zone 'Asia/Shanghai', (f.as_of + 1)::timestamp at time zone 'Asia/Shanghai',
       jsonb_build_object('item_code', '01', 'year', 2014, 'as_of', f.as_of)
from site s
join lateral (select min(as_of) as as_of from quota_assessment a where a.site_id = s.site_id and level = 'warning') f
    on f.as_of is not null;

insert into gateway (gateway, state, since, last_reading, heard_at, clock_offset_s, outbox_depth) values
    ('gw-a', 'online', '2014-01-01Z', '2014-12-31Z', '2014-12-31Z', -1.5, 3),
    ('gw-b', 'offline', '2014-06-01Z', '2014-06-01Z', '2014-06-01Z', null, null);

insert into ingest_ledger (day, gateway, received, stored, repeated, conflicting, rejected) values
    ('2014-03-01', 'gw-a', 100, 90, 5, 2, 3), ('2014-03-02', 'gw-b', 50, 50, 0, 0, 0);

insert into reject (received_at, gateway, source_topic, reason, detail, payload) values
    ('2014-03-01Z', 'gw-a', 'nl/v1/gw-a/readings', 'bad_value', 'NaN', '\x00'),
    ('2014-03-01Z', 'gw-a', 'nl/v1/gw-a/readings', 'bad_value', 'NaN', '\x00'),
    ('2014-03-01Z', 'gw-b', 'nl/v1/gw-b/readings', 'malformed', '', '\x00');

insert into finding (site_id, kind, subject, gateway, starts, severity, state, detail)
select site_id, 'silent_gateway', 'gw-1', 'gw-1', '2014-12-01', 'major', 'open', '{"gateway": "gw-1", "meters": 12}'
from site where site_code = '110108A001';
