-- Up to when removals recorded ahead were looked for: a worker that was away for months misses none.
create table nengliu.removal_look (
    only_row boolean primary key default true check (only_row),
    looked_at timestamptz not null
);
insert into nengliu.removal_look (looked_at) values (now() - interval '31 days');
create index on nengliu.installation (removed_at) where removed_at is not null;
grant select, insert, update, delete on nengliu.removal_look to nengliu_pipeline;
