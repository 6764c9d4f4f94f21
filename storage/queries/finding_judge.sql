-- What a person says of findings: with who, when and why in `detail`. Only of rules that keep what was judged; those of
-- steps go with their readings, silences end by themselves. Alerts wait for a verdict on an exchange: its site is to be
-- assessed again.
with judged as (
    update nengliu.finding
    set state = %(state)s,
        detail = detail || jsonb_build_object('review', jsonb_build_object(
            'verdict', %(state)s::text, 'by', %(by)s::text, 'note', %(note)s::text, 'at', clock_timestamp())),
        changed_at = clock_timestamp()
    where finding_id = any (%(findings)s) and rule is not null and rule <> 'steps' and state <> 'withdrawn'
    returning finding_id, site_id, starts, detail ->> 'evidence' as evidence
), due as (
    insert into nengliu.assessment_due (site_id, year)
    select distinct j.site_id, y.year
    from judged j
    cross join lateral generate_series(
        extract(year from j.starts at time zone nengliu.local_zone())::int,
        least(extract(year from j.starts at time zone nengliu.local_zone())::int + 1,
              extract(year from now() at time zone nengliu.local_zone())::int)) y (year)
    where j.evidence = 'exchange'
)
select finding_id from judged
