-- All days of points whose balance with others the registry changed, to be looked at again.
insert into nengliu.level_due (point_id, from_day, to_day)
select point_id, min(period), max(period)
from nengliu.point_period
join nengliu.point using (point_id)
where grain = 'day' and point_code = any (%(codes)s)
group by point_id, (period - date '1970-01-05') / 28
