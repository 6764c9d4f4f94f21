-- Findings of levels: new ones, and known ones (finding_id) as they are now. What a person judged stays; nothing is
-- written where nothing changes.
with u as (
    select * from jsonb_to_recordset(%(rows)s) as u
        (finding_id bigint, rule_key text, kind text, severity text, meter text, point_id int, site_id int,
         starts timestamptz, ends timestamptz, detail jsonb)
), changed as (
    update nengliu.finding f
    set kind = u.kind, severity = u.severity, meter = u.meter, starts = u.starts, ends = u.ends, detail = u.detail,
        state = 'open', changed_at = clock_timestamp(),
        rule_key = case when exists (select from nengliu.finding o where o.rule = 'levels' and o.rule_key = u.rule_key)
                        then f.rule_key else u.rule_key end
    from u
    where f.finding_id = u.finding_id and f.state in ('open', 'withdrawn')
      and (f.kind, f.severity, f.meter, f.starts, f.ends, f.detail, f.state) is distinct from
          (u.kind, u.severity, u.meter, u.starts, u.ends, u.detail, 'open')
    returning f.kind, f.meter, f.starts
), fresh as (
    insert into nengliu.finding as f
        (kind, severity, meter, point_id, site_id, starts, ends, state, detail, rule, rule_key)
    select kind, severity, meter, point_id, site_id, starts, ends, 'open', detail, 'levels', rule_key
    from u where finding_id is null
    on conflict (rule, rule_key) where rule is not null do update
    set kind = excluded.kind, severity = excluded.severity, meter = excluded.meter, starts = excluded.starts,
        ends = excluded.ends, detail = excluded.detail, state = 'open', changed_at = clock_timestamp()
    where f.state in ('open', 'withdrawn')
    returning kind, meter, starts
)
select 'changed', * from changed union all select 'opened', * from fresh
