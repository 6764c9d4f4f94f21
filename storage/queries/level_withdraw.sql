-- Findings whose ground later data took away.
update nengliu.finding set state = 'withdrawn', changed_at = clock_timestamp()
where finding_id = any (%(findings)s) and state = 'open'
returning kind, meter, starts
