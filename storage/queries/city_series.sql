-- The city's registers in the order of its sites and points: its meters are numbered so.
select e.series_id, i.point_id, p.site_id
from nengliu.installation i
join nengliu.series e using (meter, register)
join nengliu.point p using (point_id)
order by i.meter collate "C"
limit %(registers)s
