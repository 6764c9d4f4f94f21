-- Findings of steps: between two good readings, so that no reading is in doubt.
select f.finding_id, s.site_code, p.point_code, f.meter, f.register, f.kind, f.starts, f.ends, f.state,
       v.reviewed_by, v.reviewed_at, v.note,
       p.item_code, i.unit, i.ratio
from nengliu.finding f
left join nengliu.point p using (point_id)
left join nengliu.site s on s.site_id = p.site_id
left join nengliu.installation i
    on i.meter = f.meter and i.register = f.register
    and i.installed_at <= f.starts and (i.removed_at is null or f.starts < i.removed_at)
left join lateral (
    select reviewed_by, reviewed_at, note from nengliu.reading_review
    where series_id = (select series_id from nengliu.series e where e.meter = f.meter and e.register = f.register)
      and ts = f.ends
    order by review_id desc limit 1) v on true
where f.rule = 'steps' and f.kind = any (%(step_kinds)s) and f.state <> 'withdrawn'
  and f.ends >= %(low)s and f.starts <= %(high)s
  and (%(state)s::text is null or f.state = %(state)s) and (%(kind)s::text is null or f.kind = %(kind)s)
  and (%(site)s::text is null or s.site_code = %(site)s) and (%(point)s::text is null or p.point_code = %(point)s)
  and (%(meter)s::text is null or f.meter = %(meter)s) and (%(register)s::text is null or f.register = %(register)s)
order by f.meter, f.register, f.starts
limit %(limit)s
