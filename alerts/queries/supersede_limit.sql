update nengliu.quota_limit set superseded_at = %(at)s where quota_limit_id = %(quota_limit_id)s
