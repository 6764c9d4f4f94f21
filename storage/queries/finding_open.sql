-- Open findings; one that is open already stays as it is.
insert into nengliu.finding
    (kind, severity, subject, gateway, meter, point_id, site_id, starts, ends, anchor, state, detail)
select u.kind, u.severity, u.subject, u.gateway, u.meter, u.point_id, u.site_id, u.starts, u.ends, u.anchor, 'open', u.detail
from jsonb_to_recordset(%(rows)s) as u
    (kind text, severity text, subject text, gateway text, meter text, point_id int, site_id int, starts timestamptz,
     ends timestamptz, anchor timestamptz, detail jsonb)
on conflict (kind, subject) where ends is null and state = 'open' do nothing
returning kind, subject, starts
