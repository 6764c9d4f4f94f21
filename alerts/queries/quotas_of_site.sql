-- A site's quotas, each with the versions of its limit, oldest first.
select q.item_code, q.year, nengliu.item_unit(q.item_code) as unit, q.method, q.base_years, q.reduction_percent,
       q.limit_value as given_value, q.source, q.effective_from,
       coalesce((select jsonb_agg(jsonb_build_object(
                            'quota_limit_id', l.quota_limit_id, 'limit_value', l.limit_value, 'basis', l.basis,
                            'recorded_at', l.recorded_at, 'superseded_at', l.superseded_at)
                        order by l.quota_limit_id)
                 from nengliu.quota_limit l
                 where l.quota_id = q.quota_id), '[]'::jsonb) as versions
from nengliu.quota q
join nengliu.site s using (site_id)
where s.site_code = %(site_code)s
order by q.item_code, q.year, q.effective_from
