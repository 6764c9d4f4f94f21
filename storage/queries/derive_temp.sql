-- Work tables of a derivation, empty again after each transaction.
create temp table if not exists derive_window (
    point_id int not null, from_ts timestamptz not null, to_ts timestamptz not null
) on commit delete rows;
create temp table if not exists derive_open (
    point_id int not null, day date not null, consumption float8 not null, covered_s float8 not null
) on commit delete rows;
-- Touched periods of points or sites (id), joined to whole periods of each grain; to_day and to_ts not included.
create temp table if not exists derive_touch (
    grain nengliu.grain not null, id int not null, from_day date not null, to_day date not null,
    from_ts timestamptz not null, to_ts timestamptz not null
) on commit delete rows;
create temp table if not exists derive_site_window (
    site_id int not null, from_ts timestamptz not null, to_ts timestamptz not null
) on commit delete rows;
-- Hours in which a point counts for an item of its site; disjoint for each (item, point).
create temp table if not exists derive_root (
    site_id int not null, item_code text not null, point_id int not null,
    from_hour timestamptz not null, to_hour timestamptz not null
) on commit delete rows;
-- How many points count for an item of a site at the same time; disjoint for each (site, item).
create temp table if not exists derive_root_level (
    site_id int not null, item_code text not null, from_ts timestamptz not null, to_ts timestamptz not null,
    points int not null
) on commit delete rows;
create index if not exists derive_root_level_key on derive_root_level (site_id, item_code, from_ts);
-- Items that sites have now, or have rows of: these have a year.
create temp table if not exists derive_item (site_id int not null, item_code text not null) on commit delete rows;
