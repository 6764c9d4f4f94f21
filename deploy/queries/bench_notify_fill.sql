insert into nengliu.site (site_code, name, kind, sector, district_code, floor_area_m2)
select 'B' || lpad(n::text, 6, '0'), '基准楼 ' || n || ' · Bench house', 'building', 'buildings', '110108', 5000
from generate_series(1, %(alerts)s) n;

insert into nengliu.site_period (grain, site_id, item_code, period, consumption, estimated, covered_s, installed_s)
select 'day', site_id, '01', d::date, 100, 1, 86000, 86400
from (select site_id from nengliu.site order by site_code limit %(with_chart)s) s,
     generate_series(date '2014-01-01', date '2014-08-31', interval '1 day') d;

insert into nengliu.quota (site_id, item_code, year, limit_value, method, source, effective_from)
select site_id, '01', 2014, 30000, 'manual', 'bench', '2014-01-01'
from nengliu.site order by site_code limit %(with_chart)s;

insert into nengliu.quota_limit (quota_id, limit_value, method, source, basis)
select quota_id, limit_value, method, source, '{}' from nengliu.quota;

insert into nengliu.alert (site_id, item_code, year, rule, severity, state, subject, opened_at, told_at, evidence)
select site_id, '01', 2014, 'quota_forecast_over', 'warning', 'confirmed', site_code || '/01/2014', '2014-09-01T00:00+08', '2014-09-01T00:00+08',
       '{"as_of": "2014-08-31", "item_code": "01", "year": 2014, "used": 24300, "limit_value": 30000, "completeness": 0.99,
         "forecast": {"p10": 30500, "p50": 31000, "p90": 31500}, "exhaustion_date": "2014-11-20", "quota": null}'
from nengliu.site;

insert into nengliu.alert_transition (alert_id, transition_no, at, from_state, to_state, action, actor)
select alert_id, 1, opened_at, null, 'confirmed', 'opened', 'nengliu' from nengliu.alert;

insert into nengliu.contact (scope, name, language, channel, address, severity_from)
select 'city', c.name, c.language, c.channel, c.address, 'warning'
from unnest(%(names)s::text[], %(languages)s::text[], %(channels)s::text[], %(addresses)s::text[])
     c (name, language, channel, address)
