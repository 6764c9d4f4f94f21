-- Findings of a kind that last: their subjects, and since when.
select finding_id, subject, starts
from nengliu.finding
where kind = %(kind)s and state = 'open' and ends is null
