-- Points whose hours differ from those kept: how many, and the energy of the time before and after.
with fresh as (
    select h.point_id, h.hour, h.consumption, h.estimated, h.covered_s, h.installed_s, h.method
    from nengliu.site s
    join nengliu.point p using (site_id)
    join nengliu.point_hour h using (point_id)
    where s.site_code = any (%(codes)s)
      and h.hour >= %(from_ts)s::timestamptz and h.hour <= %(to_ts)s::timestamptz
)
select s.site_code, p.point_code, nengliu.item_unit(p.item_code), d.hours, d.before, d.after, d.estimated_before,
       d.estimated_after
from (
    select point_id, count(*) filter (where b is distinct from f) as hours,
           coalesce(sum(b.consumption), 0) as before, coalesce(sum(f.consumption), 0) as after,
           coalesce(sum(b.estimated), 0) as estimated_before, coalesce(sum(f.estimated), 0) as estimated_after
    from rehearsal_before b
    full join fresh f using (point_id, hour)
    group by point_id
) d
join nengliu.point p using (point_id)
join nengliu.site s using (site_id)
where d.hours > 0
order by s.site_code, p.point_code
