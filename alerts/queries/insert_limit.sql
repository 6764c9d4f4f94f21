insert into nengliu.quota_limit
    (quota_id, limit_value, method, source, basis, approved_by, note, months, months_source, recorded_at)
values (%(quota_id)s, %(value)s, %(method)s, %(source)s, %(basis)s, %(approved_by)s, %(note)s, %(months)s,
        %(months_source)s, %(recorded_at)s)
returning quota_limit_id
