-- Change findings that are open; what is NULL stays, but for `ends`. Nothing is written where nothing changes.
update nengliu.finding f
set starts = coalesce(u.starts, f.starts),
    anchor = coalesce(u.anchor, f.anchor),
    ends = u.ends,
    state = coalesce(u.state, f.state),
    detail = f.detail || coalesce(u.detail, '{}'),
    changed_at = clock_timestamp()
from jsonb_to_recordset(%(rows)s) as u
    (finding_id bigint, starts timestamptz, anchor timestamptz, ends timestamptz, state text, detail jsonb)
where f.finding_id = u.finding_id and f.state = 'open'
  and (f.starts, f.anchor, f.ends, f.state, f.detail) is distinct from
      (coalesce(u.starts, f.starts), coalesce(u.anchor, f.anchor), u.ends, coalesce(u.state, f.state),
       f.detail || coalesce(u.detail, '{}'))
returning f.kind, f.subject, f.starts, f.ends, f.state
