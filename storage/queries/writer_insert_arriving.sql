-- Which (series_id, ts) are new, as int4 and timestamptz, packed.
with inserted as (
    insert into nengliu.reading (series_id, ts, value, received_at)
    select series_id, ts, value, received_at from pg_temp.arriving order by n
    on conflict (series_id, ts) do nothing
    returning series_id, ts
)
select string_agg(int4send(series_id) || timestamptz_send(ts), '') from inserted
