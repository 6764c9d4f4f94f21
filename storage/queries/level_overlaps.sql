-- Whether a point has an open finding of levels of a kind, from one source, in a time.
select exists (
    select from nengliu.finding
    where rule = 'levels' and rule_key like %(source)s || ':%%' and point_id = %(point)s and kind = %(kind)s
      and state in ('open', 'accepted') and starts < %(to_ts)s and (ends is null or ends > %(from_ts)s)
)
