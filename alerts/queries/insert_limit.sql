insert into nengliu.quota_limit (quota_id, limit_value, method, source, basis, recorded_at)
values (%(quota_id)s, %(value)s, %(method)s, %(source)s, %(basis)s, %(recorded_at)s)
returning quota_limit_id
