insert into nengliu.factor_version
    (item_code, quantity, value, unit, valid_from, valid_to, source, confidence, approved_by, shipped, recorded_at,
     recorded_by)
values (%(item_code)s, %(quantity)s, %(value)s, %(unit)s, %(valid_from)s, coalesce(%(valid_to)s::date, 'infinity'),
        %(source)s, %(confidence)s, %(approved_by)s, %(shipped)s, %(at)s, %(by)s)
