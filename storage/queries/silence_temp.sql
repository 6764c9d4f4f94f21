-- Work tables of a look for silences, empty again after each transaction. Without end is 'infinity'.
-- subject: a span of time in which a meter (a gateway: meter '') is to be heard; ended: nothing more comes of it; patience:
-- the shortest that it ever had, and `silence_patience` when it had which.
create temp table if not exists silence_subject (
    n int not null, gateway text not null, meter text not null, from_ts timestamptz not null, to_ts timestamptz not null,
    ended boolean not null, patience interval not null
) on commit delete rows;
create temp table if not exists silence_patience (
    n int not null, from_ts timestamptz not null, to_ts timestamptz not null, patience interval not null
) on commit delete rows;
create index if not exists silence_patience_key on silence_patience (n);
create temp table if not exists silence_member (
    n int not null, meter text not null, from_ts timestamptz not null, to_ts timestamptz not null
) on commit delete rows;
create temp table if not exists silence_window (
    gateway text not null, from_ts timestamptz not null, to_ts timestamptz not null
) on commit delete rows;
create temp table if not exists silence_look (
    n int not null, from_ts timestamptz not null, to_ts timestamptz not null
) on commit delete rows;
