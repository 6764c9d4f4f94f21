-- What versions of the registry changed, oldest first; of a site also the points and installations that ever were its.
with change as (
    select c.version, c.kind, c.key::jsonb as key, c.before, c.after
    from nengliu.registry_change c
), point_of_site as (
    select distinct key ->> 0 as point_code
    from change
    where kind = 'point' and %(site)s in (before ->> 'site_code', after ->> 'site_code')
)
select v.version, v.imported_at, v.actor, v.note, c.kind, c.key, c.before, c.after
from change c
join nengliu.registry_version v using (version)
where (%(site)s::text is null
       or %(site)s in (before ->> 'site_code', after ->> 'site_code')
       or kind = 'installation' and exists (
           select from point_of_site p where p.point_code in (before ->> 'point_code', after ->> 'point_code'))
       or kind = 'rule' and key ->> 0 = 'point' and key ->> 1 in (select point_code from point_of_site))
  and (%(point)s::text is null or %(point)s in (before ->> 'point_code', after ->> 'point_code')
       or kind = 'rule' and key ->> 0 = 'point' and key ->> 1 = %(point)s)
  and (%(meter)s::text is null or kind = 'installation' and key ->> 0 = %(meter)s)
order by v.version, array_position(array['site', 'point', 'installation', 'rule', 'quota', 'contact'], c.kind), c.key
