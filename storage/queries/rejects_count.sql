select reason, gateway, meter, count(*) as count, count(*) filter (where requeued_at is null) as waiting,
       min(received_at) as first_at, max(received_at) as last_at,
       (array_agg(reject_id order by received_at desc, reject_id desc))[1] as newest_id,
       (array_agg(detail order by received_at desc, reject_id desc))[1] as last_detail
from nengliu.reject
where (%(reason)s::text is null or reason = %(reason)s)
  and (%(gateway)s::text is null or gateway = %(gateway)s)
  and (%(meter)s::text is null or meter = %(meter)s)
group by reason, gateway, meter
order by count(*) desc, reason, gateway, meter
