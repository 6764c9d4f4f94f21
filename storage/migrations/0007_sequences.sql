-- Sequence numbers of outboxes: what was seen is everything from low to high without the gaps. Rows change by what
-- arrives, however torn the numbers are. See docs/decisions/sequence-numbers.md.
create table nengliu.outbox (
    outbox_id bigint generated always as identity primary key,
    gateway text not null,
    outbox text,                          -- NULL: of messages that have a number and name no outbox
    low bigint not null,                  -- smallest and greatest number seen
    high bigint not null,
    prior_low bigint,                     -- both as they were before the last update: NULL, it was the first
    prior_high bigint,
    unique nulls not distinct (gateway, outbox),
    check (low <= high)
);

create table nengliu.outbox_gap (
    outbox_id bigint not null references nengliu.outbox,
    low bigint not null,                  -- first and last number that is missing
    high bigint not null,
    noticed_on date not null,             -- local day of receipt of the message that showed the gap
    primary key (outbox_id, low),
    check (low <= high)
);
create index on nengliu.outbox_gap (noticed_on);

-- The ledger is kept for each outbox, and counts the sequence numbers that a day saw for the first time.
alter table nengliu.ingest_ledger
    drop constraint ingest_ledger_pkey,
    add column outbox text,
    add column seen bigint not null default 0,
    add constraint ingest_ledger_key unique nulls not distinct (day, gateway, outbox);

-- A day as it stood when reconcile found nothing missing and everything proved. It is closed as long as it still does.
create table nengliu.ledger_closing (
    day date primary key,
    received numeric not null,
    rejected numeric not null,
    seen numeric not null,
    closed_at timestamptz not null default clock_timestamp()
);

create or replace view api.ingest_ledger with (security_barrier) as
select day, gateway, sum(received)::bigint as received, sum(stored)::bigint as stored,
       sum(repeated)::bigint as repeated, sum(conflicting)::bigint as conflicting, sum(rejected)::bigint as rejected,
       least(sum(missing), 9223372036854775807)::bigint as missing
from (select day, gateway, received, stored, repeated, conflicting, rejected, 0::numeric as missing
      from nengliu.ingest_ledger
      union all
      select g.noticed_on, o.gateway, 0, 0, 0, 0, 0, g.high::numeric - g.low + 1
      from nengliu.outbox_gap g join nengliu.outbox o using (outbox_id)) booked
group by day, gateway;

grant select, insert, update, delete on nengliu.outbox, nengliu.outbox_gap, nengliu.ledger_closing to nengliu_pipeline;
