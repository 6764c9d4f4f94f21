-- Findings that a rule derives, new or known by their key. Nothing is written where nothing changes, nor over what a
-- person judged; of what lasts there is one a kind and subject.
insert into nengliu.finding as f
    (kind, severity, subject, gateway, meter, point_id, site_id, starts, ends, state, detail, rule, rule_key)
select u.kind, u.severity, u.subject, u.gateway, u.meter, u.point_id, u.site_id, u.starts, u.ends, 'open', u.detail,
       %(rule)s, u.rule_key
from jsonb_to_recordset(%(rows)s) as u
    (kind text, severity text, subject text, gateway text, meter text, point_id int, site_id int, starts timestamptz,
     ends timestamptz, detail jsonb, rule_key text)
where u.ends is not null
   or not exists (select from nengliu.finding o
                  where o.kind = u.kind and o.subject = u.subject and o.state = 'open' and o.ends is null
                    and (o.rule, o.rule_key) is distinct from (%(rule)s, u.rule_key))
on conflict (rule, rule_key) where rule is not null do update
set starts = excluded.starts, ends = excluded.ends, state = 'open', detail = excluded.detail,
    changed_at = clock_timestamp()
where f.state in ('open', 'withdrawn')
  and (f.starts, f.ends, f.state, f.detail) is distinct from (excluded.starts, excluded.ends, 'open', excluded.detail)
returning f.kind, f.subject, f.starts, f.ends
