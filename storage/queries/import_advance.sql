-- Note rows as done, if nobody else did since.
update nengliu.reading_import
set rows_done = rows_done + %(rows)s, stored = stored + %(stored)s, repeated = repeated + %(repeated)s,
    conflicting = conflicting + %(conflicting)s, rejected = rejected + %(rejected)s, rejects_size = %(rejects_size)s
where content = %(content)s and zone = %(zone)s and rows_done = %(expected)s and finished_at is null
