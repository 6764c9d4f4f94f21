update nengliu.reject set requeued_at = clock_timestamp() where reject_id = any(%(ids)s)
