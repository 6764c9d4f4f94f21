-- Rows of a site, its points (those that ever were its) and their installations, and rules, that changed since a time:
-- as they were then (NULL: not there), and as they were made first.
with own as (
    select distinct c.key::jsonb ->> 0 as point_code
    from nengliu.registry_change c
    where c.kind = 'point' and %(site)s in (c.before ->> 'site_code', c.after ->> 'site_code')
)
select distinct on (c.kind, c.key) c.kind, c.before, c.after
from nengliu.registry_change c
join nengliu.registry_version v using (version)
where v.imported_at > %(known_at)s
  and (c.kind in ('site', 'point') and %(site)s in (c.before ->> 'site_code', c.after ->> 'site_code')
       or c.kind = 'installation' and exists (
           select from own o where o.point_code in (c.before ->> 'point_code', c.after ->> 'point_code'))
       or c.kind = 'rule')
order by c.kind, c.key, c.version
