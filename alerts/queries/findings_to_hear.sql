-- What findings of some kinds are about that changed, that last and of which nobody was told, or that have lasted long
-- enough or ended since the last look by the clock in use: a finding may be known before that clock has come to it.
-- A finding about a level names no subject: it is about a meter, else about a point.
select coalesce(f.subject, f.meter, p.point_code), f.gateway
from nengliu.finding f
left join nengliu.point p using (point_id)
where f.kind = any (%(kinds)s)
  and (f.changed_at >= %(since)s
       or (f.state = 'open' and f.ends is null and f.starts <= %(until)s - %(patience)s::interval
           and not exists (select from nengliu.alert a where a.finding_id = f.finding_id and a.state <> 'retracted'))
       or (f.state in ('open', 'accepted')
           and ((f.starts > %(heard_until)s - %(patience)s::interval and f.starts <= %(until)s - %(patience)s::interval)
                or (f.ends > %(heard_until)s and f.ends <= %(until)s))))
