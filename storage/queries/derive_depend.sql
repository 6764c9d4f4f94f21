-- What verdicts and estimates in the windows hang on.
insert into nengliu.dependency (point_id, level, anchor_from, anchor_to, from_ts, to_ts, on_from, on_to)
select distinct point_id, level, anchor_from, anchor_to, from_ts, to_ts, on_from, on_to
from jsonb_to_recordset(%(rows)s) as u
    (point_id int, level smallint, anchor_from timestamptz, anchor_to timestamptz, from_ts timestamptz,
     to_ts timestamptz, on_from timestamptz, on_to timestamptz)
