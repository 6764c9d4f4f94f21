-- A table like that of assessments, keys and all, for the limit that the assessment is held against.
drop schema if exists bench cascade;
create schema bench;
create table bench.quota_assessment (like nengliu.quota_assessment including defaults including indexes);
grant usage on schema bench to public;
grant select, insert on all tables in schema bench to public
