-- Withdraw findings that nobody judged; what lasted ends.
update nengliu.finding
set state = 'withdrawn', ends = coalesce(ends, greatest(starts, clock_timestamp())), changed_at = clock_timestamp()
where finding_id = any (%(finding_ids)s) and state = 'open'
returning kind, subject, starts
