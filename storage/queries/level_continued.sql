-- The finding of levels from one source at a point that still goes on at a moment at which nothing earlier was looked at.
select finding_id, starts
from nengliu.finding
where rule = 'levels' and rule_key like %(source)s || ':%%' and point_id = %(point)s and kind = %(kind)s
  and state <> 'withdrawn' and starts <= %(starts)s + %(near)s and (ends is null or ends >= %(starts)s - %(near)s)
order by starts desc, finding_id
limit 1
