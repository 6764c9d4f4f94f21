-- What is to be assessed again (wall clock): whatever changes energy, installed times or quotas marks here, in its own
-- transaction; the assessor takes the marks away in the transaction that assesses. Marks repeat; nothing waits for another.
create table nengliu.assessment_due (
    due_id bigint generated always as identity primary key,
    site_id int not null,
    item_code text,                       -- NULL: all items of the site
    year int not null,
    terms boolean not null default false  -- the terms of a quota changed: its limit is to be computed again
);
comment on table nengliu.assessment_due is 'series (site, item) whose assessment of a local year may be stale';

-- Wall clock: the local day on which every series was marked last: once a day, for the day that has ended.
alter table nengliu.assessment_cursor add column marked_on date;

grant select, insert, update, delete on nengliu.assessment_due to nengliu_pipeline;
