-- What of this database was simulated and put in directly: it came through no gateway. At most one of a kind.
create table nengliu.simulation (
    kind text primary key check (kind in ('city')),
    parameters jsonb not null,            -- all that it follows from; the same parameters give the same rows
    version bigint not null references nengliu.registry_version,
    begun_at timestamptz not null default clock_timestamp(),
    filled_at timestamptz                 -- NULL: not all of it is there yet
);
-- Blocks of its sites that are there, each committed with its rows.
create table nengliu.simulation_block (
    kind text not null references nengliu.simulation,
    block int not null,
    readings bigint not null,
    primary key (kind, block)
);
-- Hours that are copied in get a revision each, as those that are derived do.
alter table nengliu.point_hour alter column revision set default nextval('nengliu.energy_revision');
alter table nengliu.site_hour alter column revision set default nextval('nengliu.energy_revision');

grant select, insert, update, delete on nengliu.simulation, nengliu.simulation_block to nengliu_pipeline;
