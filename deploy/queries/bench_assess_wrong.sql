-- Sites without an assessment as of the day, and sites whose newest one there does not use the sum of its year's days.
select count(*) filter (where a.used is null), count(*) filter (where abs(a.used - d.used) > 1e-6 * (1 + d.used))
from nengliu.site s
left join lateral (
    select used
    from nengliu.quota_assessment
    where site_id = s.site_id and item_code = '01' and year = extract(year from %(day)s::date)::int and as_of = %(day)s
    order by assessed_at desc
    limit 1
) a on true
left join (
    select site_id, sum(consumption) as used
    from nengliu.site_period
    where grain = 'day' and item_code = '01'
      and period between date_trunc('year', %(day)s::date)::date and %(day)s
    group by site_id
) d using (site_id)
