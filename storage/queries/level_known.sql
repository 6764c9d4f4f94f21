-- Findings of levels from one source at points that start in a time, whatever became of them.
select finding_id, point_id, starts, state
from nengliu.finding
where rule = 'levels' and rule_key like %(source)s || ':%%' and point_id = any (%(points)s)
  and starts >= %(from_ts)s and starts < %(to_ts)s
order by (state = 'withdrawn'), starts, finding_id
