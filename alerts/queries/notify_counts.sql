-- failed: given up within a week. oldest_s: how long what waits has been due.
select count(*) filter (where state = 'waiting') as waiting,
       count(*) filter (where state = 'held') as held,
       count(*) filter (where state = 'failed' and created_at > clock_timestamp() - interval '7 days') as failed,
       coalesce(extract(epoch from clock_timestamp() - min(created_at) filter (where state = 'waiting')), 0)::float8 as oldest_s
from nengliu.notification
where state in ('waiting', 'held', 'failed')
