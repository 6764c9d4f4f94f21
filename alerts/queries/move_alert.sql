update nengliu.alert
set state = %(state)s,
    confirmed_at = case when %(changed)s and %(state)s = 'confirmed' then %(at)s::timestamptz else confirmed_at end,
    acknowledged_at = case when %(changed)s and %(state)s = 'acknowledged' then %(at)s::timestamptz
                           when %(changed)s and %(state)s = 'confirmed' then null
                           else acknowledged_at end,
    resolved_at = case when %(state)s in ('resolved', 'retracted') then %(at)s::timestamptz end,
    settled_as_of = %(settled)s,
    told_at = %(told_at)s, escalated = %(escalated)s, promised_on = %(promised_on)s,
    snoozed_until = %(snoozed_until)s, reopened_at = %(reopened_at)s, due_at = %(due_at)s
where alert_id = %(alert_id)s
