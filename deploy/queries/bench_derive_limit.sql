-- Tables like those of derived energy, keys and all, for the limit that the derivation is held against.
drop schema if exists bench cascade;
create schema bench;
create table bench.point_hour (like nengliu.point_hour including defaults);
select public.create_hypertable('bench.point_hour', public.by_range('hour', interval '182 days'),
                                create_default_indexes => false);
create unique index on bench.point_hour (point_id, hour);
create table bench.site_hour (like nengliu.site_hour including defaults);
select public.create_hypertable('bench.site_hour', public.by_range('hour', interval '182 days'),
                                create_default_indexes => false);
create unique index on bench.site_hour (site_id, item_code, hour);
create table bench.point_period (like nengliu.point_period including defaults including indexes);
create table bench.site_period (like nengliu.site_period including defaults including indexes);
create table bench.point_day_open (like nengliu.point_day_open including defaults including indexes);
create table bench.site_day_open (like nengliu.site_day_open including defaults including indexes);
grant usage on schema bench to public;
grant select, insert on all tables in schema bench to public
