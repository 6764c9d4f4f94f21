-- What findings of some kinds are about that changed, that last and of which nobody was told, or that have lasted long
-- enough or ended since the last look by the clock in use: a finding may be known before that clock has come to it.
-- patience: the least of any site.
-- A finding about a level names no subject: it is about a meter, else about a point.
select distinct coalesce(f.subject, f.meter, p.point_code), f.gateway
from (
    select subject, meter, point_id, gateway
    from nengliu.finding
    where kind = any (%(kinds)s) and changed_at >= %(since)s
    union all
    select o.subject, o.meter, o.point_id, o.gateway
    from nengliu.finding o
    where o.kind = any (%(kinds)s) and o.state = 'open' and o.ends is null
      and o.starts <= %(until)s - %(patience)s::interval
      and not exists (select from nengliu.alert a where a.finding_id = o.finding_id and a.state <> 'retracted')
    union all
    select subject, meter, point_id, gateway
    from nengliu.finding
    where kind = any (%(kinds)s) and state = 'open' and ends > %(heard_until)s
      and (ends <= %(until)s or starts <= %(until)s - %(patience)s::interval)
    union all
    select subject, meter, point_id, gateway
    from nengliu.finding
    where kind = any (%(kinds)s) and state = 'accepted' and ends > %(heard_until)s and ends <= %(until)s
) f
left join nengliu.point p using (point_id)
