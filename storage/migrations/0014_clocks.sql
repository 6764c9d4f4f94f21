-- Clocks that are wrong, and gateways that were replaced. See docs/decisions/clocks.md.

-- Readings that left the grid on which their meter was stamped, or came with another value than is stored, of which nobody
-- knows yet whether it is a clock's fault. Written by the writer in stretches; taken out by the worker when it is known.
create table nengliu.stamp_doubt (
    stamp_id bigint generated always as identity primary key,
    series_id int not null,
    from_ts timestamptz not null,         -- first and last of them
    to_ts timestamptz not null,
    twice boolean not null,               -- with another value; else beside the grid
    noted_at timestamptz not null default clock_timestamp(),
    looked_at timestamptz                 -- wall clock; NULL: nobody has looked yet
);

-- Time of the newest reading in the message with the smallest and with the greatest number; NULL: of before this
-- column, or there was none.
alter table nengliu.outbox add column first_ts timestamptz, add column last_ts timestamptz;

grant select, insert, update, delete on nengliu.stamp_doubt to nengliu_pipeline;
