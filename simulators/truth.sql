-- The truth of a simulated run: what was really used, and everything that was made wrong. See docs/truth.md.
-- Times of faults are RFC 3339, UTC; an hour is counted from 1970-01-01T00:00Z.
create table if not exists run (
    key text primary key,       -- seed, start, days, sites, interval_s, timezone, scenario, readings, from_hour, to_hour, labels
    value text not null
);
create table if not exists point (
    point_no integer primary key,
    point_code text not null unique,
    site_code text not null,
    item_code text not null,
    unit text not null,         -- of energy: the item's own
    parent_code text,
    meter text not null,
    register text not null,
    gateway text not null,
    display_step real not null  -- least energy that the display shows, in unit, ratio included
);
create table if not exists hour (
    point_no integer not null references point,
    hour integer not null,
    energy real not null,
    primary key (point_no, hour)
) without rowid;
create table if not exists fault (
    fault_no integer primary key,
    kind text not null,         -- simulators/scenario/kinds.csv
    label text not null,        -- the scenario's own name of it, or its kind
    is_fault integer not null,  -- 0: a real change, which nothing should call a fault
    site_code text not null,
    point_code text,            -- null: all points of the gateway or site
    meter text,
    gateway text,
    starts text not null,
    ends text not null,         -- first moment that is right again; of a lasting change, the end of the run
    size real,
    size_unit text,
    found_by text not null,     -- finding kinds of which one should name it, space between; reject:REASON; empty: none
    may_find text not null,     -- the same, of what is no false alarm there
    detail text not null        -- JSON
);
