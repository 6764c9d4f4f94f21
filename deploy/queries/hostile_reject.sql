-- A dead letter: reason, topic, its first bytes.
select reason, source_topic, substring(payload for 200) from nengliu.reject where reject_id = %(reject_id)s
