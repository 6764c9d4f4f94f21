update nengliu.stream_offset
set next_offset = %(following)s, updated_at = clock_timestamp()
where cluster_id = %(cluster_id)s and topic_id = %(topic_id)s and partition_no = %(partition_no)s
  and next_offset = %(expected)s
