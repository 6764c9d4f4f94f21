-- The newest transition of an alert becomes a notification for each contact that is to be told of it.
-- Opened, confirmed, reopened, escalated: whoever listens to its site, district, sector or the city from its severity on;
-- each escalation reaches those who listen from one severity higher on, too. An alert of no one site is the city's.
-- Acknowledged, promised, reminded, resolved, retracted: whoever was told of it, but for the one who did it. A contact in
-- several scopes is told once. What opens provisional waits for the digest; a snooze is told to nobody,
-- and so is whatever an example's address would be told.
with happened as (
    select a.alert_id, a.severity, s.site_code, s.district_code, s.sector, t.transition_no, t.action, t.to_state, t.actor,
           n.name as node, a.subject, a.rule, a.opened_at, t.at,
           array_position(array['warning', 'major', 'critical'], a.severity) + a.escalated as rank,
           t.action in ('opened', 'confirmed', 'reopened', 'escalated') as to_listeners
    from nengliu.alert a
    left join nengliu.site s using (site_id)
    join lateral (
        select transition_no, action, to_state, actor, at from nengliu.alert_transition
        where alert_id = a.alert_id order by transition_no desc limit 1
    ) t on true
    cross join nengliu.node n
    where a.alert_id = %(alert_id)s and t.action <> 'snoozed'
), listening as (
    select distinct on (c.name, c.channel, c.address) c.name, c.channel, c.address, c.language
    from happened h
    join nengliu.contact c
        on c.scope in (h.site_code, 'district:' || h.district_code, 'sector:' || h.sector, 'city')
    where h.to_listeners
      and c.severity_from <> 'none'
      and coalesce(array_position(array['warning', 'major', 'critical'], c.severity_from), 1) <= coalesce(h.rank, 3)
    order by c.name, c.channel, c.address, (c.scope = h.site_code) desc nulls last, c.scope
), told as (
    select distinct on (n.name, n.channel, n.address) n.name, n.channel, n.address, n.language
    from happened h
    join nengliu.notification n using (alert_id)
    where not h.to_listeners and n.state <> 'dropped' and n.name <> h.actor
    order by n.name, n.channel, n.address, n.notification_id desc
)
insert into nengliu.notification
    (key, kind, alert_id, transition_no, action, to_state, severity, name, language, channel, address, route, state, held_at,
     reason)
select left(encode(sha256(convert_to(
           jsonb_build_array(h.node, h.alert_id, h.subject, h.rule, extract(epoch from h.opened_at), h.transition_no,
                             extract(epoch from h.at), p.name, p.channel, p.address)::text, 'UTF8')), 'hex'), 40),
       'alert', h.alert_id, h.transition_no, h.action, h.to_state, h.severity, p.name, p.language, p.channel, p.address,
       case p.channel when 'email' then 'email'
                      else 'webhook ' || coalesce(lower(substring(p.address from '^[a-z]+://([^/?#]+)')), p.address) end,
       case when p.address ~* %(example)s then 'dropped' when h.to_state = 'provisional' then 'held' else 'waiting' end,
       case when p.address !~* %(example)s and h.to_state = 'provisional' then clock_timestamp() end,
       case when p.address ~* %(example)s then %(no_one)s when h.to_state = 'provisional' then 'provisional' end
from happened h, (select * from listening union all select * from told) p
on conflict (key) do nothing
