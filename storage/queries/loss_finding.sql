-- The finding of a gap that was accepted: a person judged it.
update nengliu.finding
set state = 'accepted', ends = clock_timestamp(), changed_at = clock_timestamp(),
    detail = detail || jsonb_build_object('accepted_by', %(by)s::text, 'note', %(note)s::text)
where kind = 'sequence_gap' and subject = %(subject)s and state = 'open' and ends is null
