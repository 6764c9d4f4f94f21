-- Files of readings that were imported, or are being: how far, in the transaction that writes the rows. See
-- docs/decisions/reading-import.md.
create table nengliu.reading_import (
    content text not null,                -- SHA-256 of the file's bytes
    zone text not null,                   -- what its local times were read in; '': its times say it themselves
    file_name text not null,              -- as it was called last
    imported_by text not null,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    rows_done bigint not null default 0,  -- rows of the file, header not counted
    stored bigint not null default 0,
    repeated bigint not null default 0,
    conflicting bigint not null default 0,
    rejected bigint not null default 0,
    rejects_size bigint not null default 0,  -- bytes of the file of rejects that belong to rows_done
    primary key (content, zone),
    check (rows_done = stored + repeated + conflicting + rejected)
);
grant select, insert, update, delete on nengliu.reading_import to nengliu_pipeline;
