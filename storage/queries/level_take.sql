-- Takes what is due of some sites, the one that waits longest first: of each touched point the days. Not of sites whose
-- energy is still to be derived: their days would only be due again.
with waiting as (
    select p.site_id, min(d.due_id) as first
    from nengliu.level_due d join nengliu.point p using (point_id)
    where not exists (select from nengliu.change c where c.site_id = p.site_id)
    group by p.site_id
    order by first
    limit %(sites)s
), taken as (
    delete from nengliu.level_due d
    using nengliu.point p, waiting w
    where p.point_id = d.point_id and p.site_id = w.site_id
    returning p.site_id, d.point_id, d.from_day, d.to_day
)
select site_id, point_id, min(from_day), max(to_day)
from taken
group by site_id, point_id, (from_day - date '1970-01-05') / 28
