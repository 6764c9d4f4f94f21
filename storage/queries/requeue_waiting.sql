-- Rejects that were not put in again, with how many bytes each keeps.
select reject_id, length(payload)
from nengliu.reject
where requeued_at is null
  and (%(reason)s::text is null or reason = %(reason)s)
  and (%(gateway)s::text is null or gateway = %(gateway)s)
  and (%(meter)s::text is null or meter = %(meter)s)
  and (%(since)s::timestamptz is null or received_at >= %(since)s)
  and (%(until)s::timestamptz is null or received_at < %(until)s)
  and (%(ids)s::int8[] is null or reject_id = any(%(ids)s))
order by reject_id
