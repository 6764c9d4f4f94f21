-- When series were read within a time, by which chunks are chosen.
select series_id, ts from nengliu.reading
where series_id = any (%(series)s) and ts >= %(from)s and ts <= %(to)s
