-- How far a file is, noted anew where it was not known, or (again) begun once more.
insert into nengliu.reading_import as i (content, zone, file_name, imported_by)
values (%(content)s, %(zone)s, %(file_name)s, %(actor)s)
on conflict (content, zone) do update
set file_name = excluded.file_name, imported_by = excluded.imported_by,
    started_at = case when %(again)s then excluded.started_at else i.started_at end,
    finished_at = case when not %(again)s then i.finished_at end,
    rows_done = case when %(again)s then 0 else i.rows_done end,
    stored = case when %(again)s then 0 else i.stored end,
    repeated = case when %(again)s then 0 else i.repeated end,
    conflicting = case when %(again)s then 0 else i.conflicting end,
    rejected = case when %(again)s then 0 else i.rejected end,
    rejects_size = case when %(again)s then 0 else i.rejects_size end
returning rows_done, stored, repeated, conflicting, rejected, rejects_size, finished_at
