insert into nengliu.stream_offset (cluster_id, topic_id, partition_no, topic, next_offset)
values (%(cluster_id)s, %(topic_id)s, %(partition_no)s, %(topic)s, %(following)s)
on conflict do nothing
