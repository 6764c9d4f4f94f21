-- failed: given up within a week. oldest_s: how long what waits has been due. Each by the index that is made for it.
select w.waiting, h.held, f.failed, w.oldest_s
from (select count(*) as waiting,
             coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 as oldest_s
      from nengliu.notification where state = 'waiting') w,
     (select count(*) as held from nengliu.notification where state = 'held') h,
     (select count(*) as failed from nengliu.notification
      where state = 'failed' and created_at > clock_timestamp() - interval '7 days') f
