select event_id, topic, key, value
from nengliu.event_outbox
where published_at is null
order by event_id
limit %(limit)s
