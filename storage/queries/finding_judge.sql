-- What a person says of findings: with who, when and why in `detail`. Only of rules that keep what was judged; those of
-- steps go with their readings, silences end by themselves.
update nengliu.finding
set state = %(state)s,
    detail = detail || jsonb_build_object('review', jsonb_build_object(
        'verdict', %(state)s::text, 'by', %(by)s::text, 'note', %(note)s::text, 'at', clock_timestamp())),
    changed_at = clock_timestamp()
where finding_id = any (%(findings)s) and rule is not null and rule <> 'steps' and state <> 'withdrawn'
returning finding_id
