-- What was rejected, alike as one.
select gateway, reason, detail, min(received_at), max(received_at), count(*)
from api.reject
where received_at >= %(since)s
group by gateway, reason, detail
order by gateway, reason, detail
