-- The same, after it: those that were in force then are so again.
update nengliu.factor_version set superseded_at = null
where recorded_at <= %(known_at)s and superseded_at > %(known_at)s
