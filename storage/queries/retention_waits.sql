-- Whether something before a moment is still to be derived, or to be looked through for silences.
select exists (select from nengliu.change where from_ts < %(floor)s)
    or exists (select from nengliu.silence_due where from_ts < %(floor)s)
