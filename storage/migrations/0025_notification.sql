-- Notifications: an outbox that is written in the transaction of an alert's transition and read by senders.
-- alert_id has no foreign key, as history elsewhere has none: what was told stays, whatever becomes of the alert.
create table nengliu.notification (
    notification_id bigint generated always as identity primary key,
    key text not null unique,             -- of node, alert, transition and contact: equal at every repeat
    kind text not null check (kind in ('alert', 'digest')),
    alert_id bigint,                      -- NULL: a digest
    transition_no int,
    action text,                          -- what the transition was, with to_state
    to_state text,
    severity text not null,
    name text not null,
    language text not null,
    channel text not null,
    address text not null,
    route text not null,                  -- what is broken together: email, or webhook and its target
    state text not null default 'waiting' check (state in ('waiting', 'held', 'sent', 'digested', 'failed', 'dropped')),
    created_at timestamptz not null default clock_timestamp(),
    next_try timestamptz not null default clock_timestamp(),
    attempts int not null default 0,
    lease text,                           -- which sender has it in hand
    lease_until timestamptz,
    sent_at timestamptz,
    held_at timestamptz,
    reason text,                          -- why it is held, dropped or failed; else the last attempt's error
    digest_id bigint,                     -- the digest that told it
    check ((kind = 'digest') = (alert_id is null))
);
create index on nengliu.notification (next_try) where state = 'waiting';
create index on nengliu.notification (held_at) where state = 'held';
create index on nengliu.notification (alert_id);
create index on nengliu.notification (digest_id) where digest_id is not null;
create index on nengliu.notification (channel, address, sent_at) where sent_at is not null;
create index on nengliu.notification (created_at) where state = 'failed';

-- What links are signed with where no setting says otherwise; made once.
create table nengliu.notification_secret (
    only_row boolean primary key default true check (only_row),
    secret bytea not null check (length(secret) >= 32)
);
grant select, insert, update on nengliu.notification to nengliu_pipeline;
grant select, insert on nengliu.notification_secret to nengliu_pipeline;
