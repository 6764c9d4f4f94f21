-- Raw readings are kept for some years, then dropped by chunk; hours for ever. See docs/decisions/retention.md.
create table nengliu.retention (
    only_row boolean primary key default true check (only_row),
    floor_ts timestamptz not null default '-infinity',        -- no hour before is derived again; never goes back
    dropped_before timestamptz not null default '-infinity',  -- end of the newest chunk that was dropped
    chunks bigint not null default 0,                         -- dropped so far
    readings bigint not null default 0,
    applied_at timestamptz                                    -- when something was dropped last
);
insert into nengliu.retention default values;

-- Readings that were dropped, by the local day of their receipt: what reconcile would have counted.
create table nengliu.reading_dropped (
    day date primary key,
    readings bigint not null
);

create function nengliu.retention_floor() returns timestamptz language sql stable as
    'select floor_ts from nengliu.retention';

-- How far before the floor readings are kept: what hours after it are learnt from (8 weeks), and what verdicts on those
-- readings hang on (three weeks).
create function nengliu.retention_margin() returns interval language sql immutable as
    $$ select interval '77 days' $$;

-- The chunks of readings that end at or before a moment and were not dropped before, the oldest first.
create function nengliu.reading_chunks(before timestamptz)
returns table (chunk regclass, from_ts timestamptz, to_ts timestamptz) language sql stable as
$$ select format('%I.%I', c.chunk_schema, c.chunk_name)::regclass, c.range_start, c.range_end
   from timescaledb_information.chunks c
   where c.hypertable_schema = 'nengliu' and c.hypertable_name = 'reading'
     and c.range_end <= before and c.range_end > (select dropped_before from nengliu.retention)
   order by c.range_start $$;

-- Drop the chunks that end before the floor and its margin. Takes no argument, so that who may call it can drop nothing
-- else; a floor of the last 300 days is refused. The newest 170 readings before the floor of every register that is
-- installed after the chunks' end stay: steps begin with them, and learn from them. Returns what was dropped.
create function nengliu.drop_readings(out chunks bigint, out dropped bigint)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as
$$ declare
    floor_at timestamptz;
    edge timestamptz;
begin
    select r.floor_ts into floor_at from nengliu.retention r for update;
    if floor_at > now() - interval '300 days' then
        raise exception 'the floor % is of the last 300 days: nothing is dropped', floor_at;
    end if;
    select count(*), max(c.to_ts) into chunks, edge
    from nengliu.reading_chunks(floor_at - nengliu.retention_margin()) c;
    dropped := 0;
    if chunks = 0 then
        return;
    end if;
    create temporary table reading_stays on commit drop as
    select n.*
    from nengliu.series s
    cross join lateral (select r.* from nengliu.reading r
                        where r.series_id = s.series_id and r.ts < floor_at
                        order by r.ts desc limit 170) n
    where n.ts < edge
      and exists (select from nengliu.installation i
                  where i.meter = s.meter and i.register = s.register and (i.removed_at is null or i.removed_at > edge));
    with counted as (
        select (received_at at time zone nengliu.local_zone())::date as day, count(*) as readings
        from nengliu.reading where ts < edge group by 1
    ), stays as (
        select (received_at at time zone nengliu.local_zone())::date as day, count(*) as readings
        from reading_stays group by 1
    ), booked as (
        insert into nengliu.reading_dropped as d (day, readings)
        select c.day, c.readings - coalesce(s.readings, 0) from counted c left join stays s using (day)
        where c.readings > coalesce(s.readings, 0)
        on conflict (day) do update set readings = d.readings + excluded.readings
        returning 1
    )
    select sum(c.readings) - coalesce((select sum(s.readings) from stays s), 0) into dropped from counted c;
    perform public.drop_chunks('nengliu.reading', older_than => edge);
    insert into nengliu.reading select * from reading_stays;
    update nengliu.retention r
    set dropped_before = edge, chunks = r.chunks + drop_readings.chunks, readings = r.readings + dropped,
        applied_at = clock_timestamp();
    drop table reading_stays;
end $$;
revoke execute on function nengliu.drop_readings() from public;
grant execute on function nengliu.drop_readings() to nengliu_pipeline;

create view api.retention with (security_barrier) as
select nullif(floor_ts, '-infinity') as floor_ts, nullif(dropped_before, '-infinity') as dropped_before, chunks, readings,
       applied_at
from nengliu.retention;

grant select, update on nengliu.retention to nengliu_pipeline;
grant select on nengliu.reading_dropped to nengliu_pipeline;
grant select on api.retention to nengliu_read, nengliu_pipeline;
