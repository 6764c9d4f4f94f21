-- What findings of some kinds are about that changed, or that last and of which nobody was told.
select f.subject, f.gateway
from nengliu.finding f
where f.kind = any (%(kinds)s) and f.changed_at >= %(since)s
union
select f.subject, f.gateway
from nengliu.finding f
where f.kind = any (%(kinds)s) and f.state = 'open' and f.ends is null and f.starts <= %(until)s - %(patience)s::interval
  and not exists (select from nengliu.alert a where a.finding_id = f.finding_id and a.state <> 'retracted')
