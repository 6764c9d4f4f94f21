-- Findings that totals do not balance, of points and of those right above them, in a time, that nobody judged.
select finding_id, rule_key
from nengliu.finding
where rule = 'balance' and state = 'open'
  and point_id in (select unnest(%(points)s::int[])
                   union select parent_point_id from nengliu.point where point_id = any (%(points)s))
  and starts >= %(from_ts)s and starts < %(to_ts)s
