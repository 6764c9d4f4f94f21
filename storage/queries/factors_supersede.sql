update nengliu.factor_version
set superseded_at = %(at)s
where superseded_at is null and item_code = %(item_code)s and quantity = %(quantity)s and valid_from = %(valid_from)s
