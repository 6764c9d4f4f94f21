-- Versions of the limits of a site that were known at a time (NULL: all), oldest first.
select q.item_code, q.year, q.effective_from, l.quota_limit_id, l.limit_value, l.method, l.basis, l.source,
       l.approved_by, l.note, l.months, l.months_source, l.recorded_at,
       case when l.superseded_at <= coalesce(%(known_at)s::timestamptz, 'infinity') then l.superseded_at end
           as superseded_at
from nengliu.quota q
join nengliu.site s using (site_id)
join nengliu.quota_limit l using (quota_id)
where s.site_code = %(site_code)s and l.recorded_at <= coalesce(%(known_at)s::timestamptz, 'infinity')
order by q.item_code, q.year, q.effective_from, l.quota_limit_id
