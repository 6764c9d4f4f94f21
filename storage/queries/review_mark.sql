-- Mark readings of a series as changed, as the writer does: in runs within an installation, split where neighbours are
-- more than a day apart. Outside every installation nothing is marked: the import that places them will.
insert into nengliu.change (site_id, series_id, from_ts, to_ts)
select site_id, %(series)s, min(ts), max(ts)
from (
    select ts, site_id, installation_id,
           count(*) filter (where apart) over (partition by installation_id order by ts) as run
    from (
        select u.ts, p.site_id, i.installation_id,
               u.ts - lag(u.ts) over (partition by i.installation_id order by u.ts) > interval '1 day' as apart
        from unnest(%(moments)s::timestamptz[]) as u (ts)
        join nengliu.installation i
            on i.meter = %(meter)s and i.register = %(register)s
            and i.installed_at <= u.ts and (i.removed_at is null or u.ts < i.removed_at)
        join nengliu.point p using (point_id)
    ) neighbours
) runs
group by site_id, installation_id, run
order by min(ts)
