select l.quota_limit_id, l.method, l.source, l.basis, q.effective_from
from nengliu.quota_limit l
join nengliu.quota q using (quota_id)
where l.quota_limit_id = any (%(ids)s::int[])
