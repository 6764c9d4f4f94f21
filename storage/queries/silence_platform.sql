-- When nothing was received from anybody.
select starts, coalesce(ends, now()) from nengliu.finding
where kind = 'nothing_received' and state <> 'withdrawn' order by starts
