-- Silences of the past, found from the readings however fast they came. See docs/decisions/findings.md.

-- Steps between neighbouring readings that are longer than may be: of a meter behind a gateway, and of a gateway
-- (meter ''), whose readings are those of all its meters. What is stored now has exactly these.
create table nengliu.silent_step (
    gateway text not null,
    meter text not null,
    from_ts timestamptz not null,         -- a reading, or begin of the installation (initial)
    to_ts timestamptz not null,           -- the next reading, or end of the installation
    initial boolean not null,
    primary key (gateway, meter, from_ts)
);

-- Where readings or the registry changed since silences were looked for. Times are inclusive.
create table nengliu.silence_due (
    due_id bigint generated always as identity primary key,
    site_id int not null,
    from_ts timestamptz not null,
    to_ts timestamptz not null
);
create index on nengliu.silence_due (site_id);

-- Whoever marks a change for the derivation marks it for silences too: a row a site and day, however many series.
create function nengliu.mark_silences() returns trigger language plpgsql as
$$ begin
    insert into nengliu.silence_due (site_id, from_ts, to_ts)
    select site_id, min(from_ts), max(to_ts)
    from marked
    where site_id is not null
    group by site_id, case when isfinite(from_ts) then floor(extract(epoch from from_ts) / 86400) end;
    return null;
end $$;
create trigger mark_silences after insert on nengliu.change
    referencing new table as marked for each statement execute function nengliu.mark_silences();

grant select, insert, update, delete on nengliu.silent_step, nengliu.silence_due to nengliu_pipeline;

-- All that is stored is looked through once.
insert into nengliu.silence_due (site_id, from_ts, to_ts) select site_id, '-infinity', 'infinity' from nengliu.site;

create index on nengliu.finding (gateway) where gateway is not null;
