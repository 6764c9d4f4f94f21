-- Quotas of some sites in the years asked for with every version of their limits, in the order in which later ones replace
-- earlier ones. given: the limit was given by a person, so that it is known from effective_from on.
select q.site_id, q.item_code, q.year, q.effective_from, l.quota_limit_id, l.limit_value,
       coalesce((l.basis ->> 'given')::boolean, false) as given, l.recorded_at, l.superseded_at
from nengliu.quota q
left join nengliu.quota_limit l using (quota_id)
where q.site_id = any (%(sites)s::int[]) and q.year between %(first_year)s and %(last_year)s
  and (%(known_at)s::timestamptz is null or l.quota_limit_id is null or l.recorded_at <= %(known_at)s::timestamptz)
order by q.site_id, q.item_code, q.year, q.effective_from, l.quota_limit_id
