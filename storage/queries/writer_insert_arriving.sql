insert into nengliu.reading (series_id, ts, value, received_at)
select series_id, ts, value, received_at from pg_temp.arriving order by n
on conflict (series_id, ts) do nothing
returning series_id, ts
