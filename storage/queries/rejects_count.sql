select gateway, reason, count(*) as count, min(received_at) as first_at, max(received_at) as last_at,
       (array_agg(reject_id order by received_at desc, reject_id desc))[1] as newest_id,
       (array_agg(detail order by received_at desc, reject_id desc))[1] as last_detail
from nengliu.reject
where %(gateway)s::text is null or gateway = %(gateway)s
group by gateway, reason
order by count(*) desc, gateway, reason
