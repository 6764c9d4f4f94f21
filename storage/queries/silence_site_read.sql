-- Whether anything was read at some sites in the week before a moment.
select exists (
    select
    from nengliu.point p
    join nengliu.installation i using (point_id)
    join nengliu.series e on e.meter = i.meter and e.register = i.register
    cross join lateral (select from nengliu.reading r
                        where r.series_id = e.series_id and r.ts < %(moment)s
                          and r.ts >= %(moment)s::timestamptz - interval '7 days'
                        limit 1) r
    where p.site_id = any (%(sites)s))
