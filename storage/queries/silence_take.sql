-- Take what is due of the sites that wait longest; without bound means all that they have installed, so far.
with waiting as (
    select site_id from nengliu.silence_due group by site_id order by min(due_id) limit %(sites)s
), taken as (
    delete from nengliu.silence_due where site_id in (select site_id from waiting) returning site_id, from_ts, to_ts
)
select t.site_id, greatest(t.from_ts, f.first) as from_ts, least(t.to_ts, now() + interval '1 day') as to_ts
from taken t
cross join lateral (select min(i.installed_at) as first
                    from nengliu.point p join nengliu.installation i using (point_id)
                    where p.site_id = t.site_id and i.removed_at is distinct from i.installed_at) f
where greatest(t.from_ts, f.first) <= least(t.to_ts, now() + interval '1 day') and f.first is not null
