-- What imports of the registry made of a site's quotas, oldest first.
select c.version, v.imported_at, v.actor, v.note as import_note, c.before, c.after
from nengliu.registry_change c
join nengliu.registry_version v using (version)
where c.kind = 'quota' and c.after ->> 'site_code' = %(site_code)s
order by c.version, c.key
