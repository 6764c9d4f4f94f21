select reject_id, received_at, gateway, outbox, seq, source_topic, user_properties, reason, detail, payload,
       requeued_at, meter
from nengliu.reject where reject_id = %(reject_id)s
