insert into nengliu.alert
    (site_id, item_code, year, rule, severity, state, subject, opened_at, confirmed_at, told_at, due_at, finding_id, evidence)
values
    (%(site_id)s, %(item_code)s, %(year)s, %(rule)s, %(severity)s, %(state)s, %(subject)s, %(at)s,
     case when %(state)s = 'confirmed' then %(at)s::timestamptz end, %(at)s, %(due_at)s, %(finding_id)s, %(evidence)s)
returning alert_id
