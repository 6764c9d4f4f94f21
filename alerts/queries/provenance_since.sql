-- What came since a time that bears on a site's energy up to a moment.
with own as (
    select distinct e.series_id
    from nengliu.site s
    join nengliu.point p using (site_id)
    join nengliu.installation i using (point_id)
    join nengliu.series e on e.meter = i.meter and e.register = i.register
    where s.site_code = %(site)s
)
select (select count(*) from nengliu.reading r
        where r.series_id in (select series_id from own) and r.ts <= %(until)s and r.received_at > %(known_at)s),
       (select count(*) from nengliu.reading_version v
        where v.series_id in (select series_id from own) and v.ts <= %(until)s and v.kind = 'superseded'
          and v.recorded_at > %(known_at)s),
       (select count(*) from nengliu.reading_review v
        where v.series_id in (select series_id from own) and v.ts <= %(until)s and v.reviewed_at > %(known_at)s),
       (select count(*) from nengliu.quota_limit l join nengliu.quota q using (quota_id) join nengliu.site s using (site_id)
        where s.site_code = %(site)s and q.item_code = %(item)s and q.year = %(year)s
          and (l.recorded_at > %(known_at)s or l.superseded_at > %(known_at)s)),
       (select count(*) from nengliu.registry_change c join nengliu.registry_version v using (version)
        where v.imported_at > %(known_at)s and c.kind in ('site', 'point', 'installation', 'rule')
          and (%(site)s in (c.before ->> 'site_code', c.after ->> 'site_code')
               or c.kind = 'rule' and c.key::jsonb ->> 0 <> 'point'
               or c.kind = 'rule' and c.key::jsonb ->> 1 in (
                   select p.point_code from nengliu.point p join nengliu.site s using (site_id) where s.site_code = %(site)s)
               or exists (select from nengliu.point p join nengliu.site s using (site_id)
                          where s.site_code = %(site)s
                            and p.point_code in (c.before ->> 'point_code', c.after ->> 'point_code')))),
       (select count(*) from nengliu.factor_version f
        where f.quantity = %(item)s and (f.recorded_at > %(known_at)s or f.superseded_at > %(known_at)s))
