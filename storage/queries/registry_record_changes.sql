insert into nengliu.registry_change (version, kind, key, before, after)
select %(version)s, kind, key, before, after
from unnest(%(kind)s::text[], %(key)s::text[], %(before)s::jsonb[], %(after)s::jsonb[])
    as u (kind, key, before, after)
