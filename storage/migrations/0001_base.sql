-- The house's tables, schema nengliu. Times are timestamptz; days and months are local dates of nengliu.node.timezone.
-- Roles nengliu_pipeline and nengliu_read exist already (storage/migrate.py makes them where it may).

create schema nengliu;
create schema api;
set local search_path = nengliu, public;

-- One row: who we are and what a local day is. Written by migrate from the settings; the zone never changes afterwards.
create table node (
    only_row boolean primary key default true check (only_row),
    name text not null,
    timezone text not null
);

create function local_zone() returns text language sql stable as
    'select timezone from nengliu.node';

-- ---------------------------------------------------------------- registry

create table registry_version (
    version bigint generated always as identity primary key,
    imported_at timestamptz not null default clock_timestamp(),
    actor text not null,
    note text
);

-- What each version changed: before is NULL for a new row.
create table registry_change (
    version bigint not null references registry_version,
    kind text not null check (kind in ('site', 'point', 'installation', 'quota', 'contact')),
    key text not null,
    before jsonb,
    after jsonb not null,
    primary key (version, kind, key)
);

create table site (
    site_id int generated always as identity primary key,
    site_code text not null unique,
    name text not null,
    kind text not null,
    sector text not null,
    building_type text,
    district_code text,
    floor_area_m2 float8
);

create table point (
    point_id int generated always as identity primary key,
    point_code text not null unique,
    site_id int not null references site,
    item_code text not null,
    name text not null,
    parent_point_id int references point,
    rated_per_hour float8
);
create index on point (site_id);

create table installation (
    installation_id int generated always as identity primary key,
    meter text not null,
    point_id int not null references point,
    register text not null,
    gateway text not null,
    protocol text not null,
    unit text not null,
    digits int not null,
    decimals int not null,
    ratio float8 not null,
    installed_at timestamptz not null,
    removed_at timestamptz,
    start_value float8,
    end_value float8,
    interval_s int not null default 3600,
    unique (meter, register, installed_at),
    check (removed_at >= installed_at)
);
create index on installation (point_id);
comment on column installation.removed_at is 'not included; equal to installed_at: the row is void';

-- Derived from the registry at each import, in the same transaction (metering/spans.py).
-- point_span: when a point has a register that its consumption is taken from; disjoint.
create table point_span (
    point_id int not null references point,
    from_ts timestamptz not null,
    to_ts timestamptz not null,           -- 'infinity' while open
    primary key (point_id, from_ts)
);
-- root_span: when a point counts for an item of its site because no installed ancestor does.
create table root_span (
    site_id int not null references site,
    item_code text not null,              -- X: the point's own code or a prefix of it
    point_id int not null references point,
    from_ts timestamptz not null,
    to_ts timestamptz not null,
    primary key (site_id, item_code, point_id, from_ts)
);
create index on root_span (point_id);

create table contact (
    scope text not null,                  -- a site_code, district:110108, sector:buildings or city
    name text not null,
    language text not null,
    channel text not null,
    address text not null,
    severity_from text not null,
    primary key (scope, name, channel, address)
);

-- ---------------------------------------------------------------- readings

create table series (
    series_id int generated always as identity primary key,
    meter text not null,
    register text not null,
    unique (meter, register)
);

-- Natural key (meter, register, ts), with (meter, register) as series_id. One row an identity: its current value.
create table reading (
    series_id int not null,
    ts timestamptz not null,
    value float8 not null,
    received_at timestamptz not null
);
select public.create_hypertable('nengliu.reading', public.by_range('ts', interval '28 days'),
                                create_default_indexes => false);
create unique index reading_natural_key on reading (series_id, ts);

-- Other values of the same identity: kept beside (conflict) or replaced by a correction (superseded).
create table reading_version (
    series_id int not null,
    ts timestamptz not null,
    value float8 not null,
    kind text not null check (kind in ('conflict', 'superseded')),
    gateway text not null,
    received_at timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (series_id, ts, value)
);

create table reject (
    reject_id bigint generated always as identity primary key,
    received_at timestamptz not null,
    gateway text not null,
    outbox text,
    seq bigint,
    source_topic text not null,
    user_properties jsonb,
    reason text not null,
    detail text not null,
    payload bytea not null,
    requeued_at timestamptz
);
create index on reject (gateway, received_at);
create index on reject (gateway, outbox, seq) where seq is not null;

create table ingest_ledger (
    day date not null,
    gateway text not null,
    received bigint not null default 0,
    stored bigint not null default 0,
    repeated bigint not null default 0,
    conflicting bigint not null default 0,
    rejected bigint not null default 0,
    primary key (day, gateway),
    check (received = stored + repeated + conflicting + rejected)
);

create table gateway (
    gateway text primary key,
    state text,                           -- online, offline; NULL: never said
    since timestamptz,
    last_reading timestamptz,             -- newest ts of an accepted reading
    heard_at timestamptz,                 -- wall clock, newest receipt of anything
    clock_offset_s float8,
    outbox_depth bigint,
    outbox_oldest timestamptz,
    event_ts timestamptz,                 -- event clock: how far this gateway's readings have come, never back
    final boolean not null default false  -- said that it will send no more (event clock)
);

-- Kafka offsets, advanced by compare-and-set in the transaction that writes the rows.
create table stream_offset (
    cluster_id text not null,
    topic_id text not null,
    partition_no int not null,
    topic text not null,
    next_offset bigint not null,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (cluster_id, topic_id, partition_no)
);

-- ---------------------------------------------------------------- energy

-- What changed and is not derived yet: readings of a series, or a point of the registry. Times are inclusive.
create table change (
    change_id bigint generated always as identity primary key,
    site_id int,                          -- NULL: the series belongs to no point now
    series_id int,
    point_id int,
    from_ts timestamptz not null,
    to_ts timestamptz not null,
    marked_at timestamptz not null default clock_timestamp(),
    check (num_nonnulls(series_id, point_id) = 1)
);
create index on change (site_id);

create sequence energy_revision;

-- Hours of a point. covered_s: seconds between good readings that are no gap; installed_s: seconds inside an installation.
create table point_hour (
    point_id int not null,
    hour timestamptz not null,
    consumption float8 not null,
    estimated float8 not null,
    covered_s float8 not null,
    installed_s float8 not null,
    revision bigint not null
);
select public.create_hypertable('nengliu.point_hour', public.by_range('hour', interval '182 days'),
                                create_default_indexes => false);
create unique index point_hour_key on point_hour (point_id, hour);

create table site_hour (
    site_id int not null,
    item_code text not null,
    hour timestamptz not null,
    consumption float8 not null,
    estimated float8 not null,
    covered_s float8 not null,
    installed_s float8 not null,
    revision bigint not null
);
select public.create_hypertable('nengliu.site_hour', public.by_range('hour', interval '182 days'),
                                create_default_indexes => false);
create unique index site_hour_key on site_hour (site_id, item_code, hour);

create type grain as enum ('day', 'month', 'year');

create table point_period (
    grain grain not null,
    point_id int not null,
    period date not null,
    consumption float8 not null,
    estimated float8 not null,
    covered_s float8 not null,
    installed_s float8 not null,
    primary key (grain, point_id, period)
);

create table site_period (
    grain grain not null,
    site_id int not null,
    item_code text not null,
    period date not null,
    consumption float8 not null,
    estimated float8 not null,
    covered_s float8 not null,
    installed_s float8 not null,
    primary key (grain, site_id, item_code, period)
);
create index on site_period (grain, period);

-- Energy of a step that is still open at the end of a local day (its closing reading is later): the part between the
-- step's start (or the local year's, if later) and the day's end. As of that day it is not yet known.
-- Only rows with something in them.
create table point_day_open (
    point_id int not null,
    day date not null,
    consumption float8 not null,
    covered_s float8 not null,
    primary key (point_id, day)
);
create table site_day_open (
    site_id int not null,
    item_code text not null,
    day date not null,
    consumption float8 not null,
    covered_s float8 not null,
    primary key (site_id, item_code, day)
);

-- Versioned conversion factors: per unit of the item. The period must lie within [valid_from, valid_to).
create table factor (
    item_code text not null,              -- two characters
    quantity text not null check (quantity in ('tce', 'tce_calorific', 'tco2')),
    value float8 not null,                -- t per unit of the item
    unit text not null,
    valid_from date not null,
    valid_to date not null default 'infinity',
    source text not null,
    confidence text not null,
    approved_by text,
    primary key (item_code, quantity, valid_from)
);

-- ---------------------------------------------------------------- quotas and alerts

create table quota (
    quota_id int generated always as identity primary key,
    site_id int not null references site,
    item_code text not null,
    year int not null,
    limit_value float8,                   -- as given; NULL: computed by method
    method text not null,
    base_years int[] not null default '{}',
    reduction_percent float8,
    source text not null,
    effective_from date not null,
    unique (site_id, item_code, year, effective_from)
);

-- Versions of a quota's limit; the newest is the one with superseded_at NULL.
create table quota_limit (
    quota_limit_id int generated always as identity primary key,
    quota_id int not null references quota,
    limit_value float8 not null,
    method text not null,
    source text not null,
    basis jsonb not null,
    recorded_at timestamptz not null default clock_timestamp(),
    superseded_at timestamptz
);
create unique index quota_limit_current on quota_limit (quota_id) where superseded_at is null;

create table quota_assessment (
    site_id int not null,
    item_code text not null,
    year int not null,
    as_of date not null,
    assessed_at timestamptz not null default clock_timestamp(),
    used float8 not null,
    limit_value float8,
    quota_limit_id int,
    forecast_p10 float8,
    forecast_p50 float8,
    forecast_p90 float8,
    exhaustion_date date,
    level text not null check (level in
        ('undetermined', 'normal', 'watch', 'warning', 'over', 'severe', 'enforcement')),
    completeness float8,
    method text not null,
    primary key (site_id, item_code, year, as_of, assessed_at)
);

-- Event clock: the last local day that was assessed; never goes back.
create table assessment_cursor (
    only_row boolean primary key default true check (only_row),
    assessed_through date
);
insert into assessment_cursor default values;

create table alert (
    alert_id bigint generated always as identity primary key,
    site_id int not null references site,
    item_code text not null,
    year int not null,
    rule text not null,
    severity text not null,
    state text not null check (state in ('provisional', 'confirmed', 'acknowledged', 'resolved', 'retracted')),
    subject text not null,
    opened_at timestamptz not null,
    confirmed_at timestamptz,
    acknowledged_at timestamptz,
    resolved_at timestamptz,
    evidence jsonb not null
);
-- One open alert a rule and subject (a subject holds site, item and period).
create unique index alert_one_open on alert (rule, subject) where state not in ('resolved', 'retracted');

create table alert_transition (
    alert_id bigint not null references alert,
    transition_no int not null,
    at timestamptz not null,
    from_state text,
    to_state text not null,
    actor text not null,
    note text,
    primary key (alert_id, transition_no)
);

create table finding (
    finding_id bigint generated always as identity primary key,
    point_id int references point,
    site_id int references site,
    meter text,
    register text,
    kind text not null,
    starts timestamptz not null,
    ends timestamptz,
    severity text not null,
    state text not null check (state in ('open', 'accepted', 'refused', 'withdrawn')),
    detail jsonb not null,
    found_at timestamptz not null default clock_timestamp()
);

-- Events that leave the database; a relay reads them back and publishes, in order of event_id.
create table event_outbox (
    event_id bigint generated always as identity primary key,
    topic text not null,
    key text not null,
    value jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    published_at timestamptz
);
create index on event_outbox (event_id) where published_at is null;

-- ---------------------------------------------------------------- rights

grant usage on schema nengliu to nengliu_pipeline;
grant select, insert, update, delete on all tables in schema nengliu to nengliu_pipeline;
grant usage on all sequences in schema nengliu to nengliu_pipeline;
