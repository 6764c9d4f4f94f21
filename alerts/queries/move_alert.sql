update nengliu.alert
set state = %(state)s,
    confirmed_at = case when %(state)s = 'confirmed' then %(at)s::timestamptz else confirmed_at end,
    acknowledged_at = case when %(state)s = 'acknowledged' then %(at)s::timestamptz else acknowledged_at end,
    settled_as_of = %(settled)s,
    resolved_at = case when %(state)s in ('resolved', 'retracted') then %(at)s::timestamptz else resolved_at end
where alert_id = %(alert_id)s
