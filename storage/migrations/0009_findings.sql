-- Findings of silence and of gaps that stay, and gaps that a person accepted as lost. See docs/decisions/findings.md.
alter table nengliu.finding
    add column subject text,              -- what it is about: a meter, a gateway, gateway/outbox
    add column gateway text,
    add column anchor timestamptz,        -- silence of a meter: its last reading before, else when it was installed
    add column changed_at timestamptz not null default clock_timestamp();
create unique index finding_one_open on nengliu.finding (kind, subject) where ends is null and state = 'open';
create index finding_over on nengliu.finding (kind, ends) where state = 'open';
comment on column nengliu.finding.ends is 'NULL while it lasts; found_at, changed_at: wall clock';

-- Since when a gap is as it is: a piece of one that fills is new.
alter table nengliu.outbox_gap add column since timestamptz not null default clock_timestamp();

-- Numbers that a person accepted as lost. The gaps stay and are counted as missing; their day may close.
create table nengliu.outbox_loss (
    outbox_id bigint not null references nengliu.outbox,
    low bigint not null,
    high bigint not null,
    accepted_at timestamptz not null default clock_timestamp(),
    accepted_by text not null,
    note text not null,
    primary key (outbox_id, low, high),
    check (low <= high)
);

grant select, insert, update, delete on nengliu.outbox_loss to nengliu_pipeline;
