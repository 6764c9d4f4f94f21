-- Doubtful readings of the windows.
insert into nengliu.reading_doubt (series_id, ts, point_id, kind)
select series_id, ts, point_id, kind
from jsonb_to_recordset(%(rows)s) as u (series_id int, ts timestamptz, point_id int, kind text)
on conflict (series_id, ts) do update set point_id = excluded.point_id, kind = excluded.kind
