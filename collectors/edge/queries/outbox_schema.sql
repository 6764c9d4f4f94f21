create table if not exists outbox (
    only integer primary key check (only = 1),
    name text not null,
    made_at text not null
);
-- readings: a JSON array, as in a v1 message; put_us: microseconds since 1970 when it was put. A number is never used again.
create table if not exists message (
    seq integer primary key autoincrement,
    put_us integer not null,
    readings text not null
);
-- What the platform rejected whole: no longer sent, kept to be looked at.
create table if not exists refused (
    seq integer primary key,
    put_us integer not null,
    readings text not null,
    reason text not null
);
