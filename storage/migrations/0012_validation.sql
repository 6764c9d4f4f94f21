-- Validation and estimation of energy. See docs/decisions/validation.md.

-- How the energy of an hour came about: metering/methods.csv, whose ranks and codes these are.
create table nengliu.energy_method (rank smallint primary key, method text not null unique);
insert into nengliu.energy_method
values (0, 'measured'), (1, 'interpolated'), (2, 'profile'), (3, 'profile_after'), (4, 'flat'), (5, 'end_profile'),
       (6, 'end_rate');
alter table nengliu.point_hour add column method smallint not null default 0;

create view api.energy_hour_method with (security_barrier) as
select s.site_code, p.point_code, h.hour as period, m.method
from nengliu.point_hour h
join nengliu.energy_method m on m.rank = h.method
join nengliu.point p using (point_id)
join nengliu.site s using (site_id);

-- Readings that are left out of energy, as the readings that are stored now have it; written by the derivation.
create table nengliu.reading_doubt (
    series_id int not null,
    ts timestamptz not null,
    point_id int not null,
    kind text not null,                   -- of metering/finding_kinds.csv, or refused
    primary key (series_id, ts)
);
create index on nengliu.reading_doubt (point_id, ts);

-- What a person judged of a reading: the newest row counts, as long as the reading has that value.
create table nengliu.reading_review (
    review_id bigint generated always as identity primary key,
    series_id int not null,
    ts timestamptz not null,
    value float8 not null,
    verdict text not null check (verdict in ('accepted', 'refused', 'open')),  -- open: taken back
    reviewed_by text not null,
    reviewed_at timestamptz not null default clock_timestamp(),
    note text not null
);
create index on nengliu.reading_review (series_id, ts);

-- What hours of a point hang on beyond the readings beside them: what changes in [on_from, on_to] derives the hours in
-- [from_ts, to_ts] again. level: 1 readings that change, 2 hours derived again for that, 3 hours derived again for those
-- (metering/dependencies.py); [anchor_from, anchor_to]: the step that it is about. Written by the derivation.
create table nengliu.dependency (
    point_id int not null,
    level smallint not null,
    anchor_from timestamptz not null,
    anchor_to timestamptz not null,
    from_ts timestamptz not null,
    to_ts timestamptz not null,
    on_from timestamptz not null,
    on_to timestamptz not null
);
create index on nengliu.dependency (point_id, on_to);
create index on nengliu.dependency (point_id, anchor_to);

-- Findings that a rule derives from the data have a key of their own in that rule, so that they are found once.
alter table nengliu.finding add column rule text, add column rule_key text;
create unique index finding_of_rule on nengliu.finding (rule, rule_key) where rule is not null;
create index finding_of_point on nengliu.finding (point_id, ends) where rule is not null;

grant select on nengliu.energy_method to nengliu_pipeline;
grant select, insert, update, delete on nengliu.reading_doubt, nengliu.reading_review, nengliu.dependency
    to nengliu_pipeline;
grant select on api.energy_hour_method to nengliu_read, nengliu_pipeline;

-- All that is stored is judged anew.
insert into nengliu.change (site_id, point_id, from_ts, to_ts)
select site_id, point_id, '-infinity', 'infinity' from nengliu.point;
