-- When series were read within a time, by which chunks are chosen, and what they showed; twice where that came with
-- other values, too.
select series_id, ts, value from nengliu.reading
where series_id = any (%(series)s) and ts >= %(from)s and ts <= %(to)s
union all
select distinct series_id, ts, 'NaN'::float8 from nengliu.reading_version
where series_id = any (%(series)s) and ts >= %(from)s and ts <= %(to)s and kind = 'conflict'
