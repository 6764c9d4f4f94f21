-- Quotas of some sites in the years asked for with every version of their limits, in the order in which later ones replace
-- earlier ones; known_at (NULL: now): the versions recorded by then, and quotas without any whose terms were imported by
-- then. given: the limit was given by a person, so that it is known from effective_from on.
select q.site_id, q.item_code, q.year, q.effective_from, l.quota_limit_id, l.limit_value,
       coalesce((l.basis ->> 'given')::boolean, false) as given, l.recorded_at, l.superseded_at
from nengliu.quota q
join nengliu.site s using (site_id)
left join nengliu.quota_limit l
    on l.quota_id = q.quota_id
    and (%(known_at)s::timestamptz is null or l.recorded_at <= %(known_at)s::timestamptz)
where q.site_id = any (%(sites)s::int[]) and q.year between %(first_year)s and %(last_year)s
  and (%(known_at)s::timestamptz is null or l.quota_limit_id is not null
       or (s.site_code, q.item_code, q.year::text, q.effective_from::text) in (
           select c.after ->> 'site_code', c.after ->> 'item_code', c.after ->> 'year', c.after ->> 'effective_from'
           from nengliu.registry_change c
           join nengliu.registry_version v using (version)
           where c.kind = 'quota' and v.imported_at <= %(known_at)s::timestamptz))
order by q.site_id, q.item_code, q.year, q.effective_from, l.quota_limit_id
