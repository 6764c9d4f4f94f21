-- Quotas in tonnes of sites that had the item installed in days of which the factor changed are to be computed and
-- assessed again, each for the years of those days. to_day is not included.
insert into nengliu.assessment_due (site_id, item_code, year, terms)
select distinct r.site_id, u.quantity, y.year, true
from unnest(%(item_code)s::text[], %(quantity)s::text[], %(from_day)s::date[], %(to_day)s::date[])
    as u (item_code, quantity, from_day, to_day)
join nengliu.root_span r on r.item_code = u.item_code
cross join lateral (
    select greatest(u.from_day, (greatest(r.from_ts, timestamptz '1970-01-01') at time zone nengliu.local_zone())::date)
               as first,
           least(u.to_day, (least(r.to_ts, now()) at time zone nengliu.local_zone() + interval '1 day')::date) - 1 as last
) d
cross join lateral generate_series(extract(year from d.first)::int, extract(year from d.last)::int) y (year)
where d.first <= d.last
  and exists (select from nengliu.quota q where q.site_id = r.site_id and q.item_code = u.quantity)
