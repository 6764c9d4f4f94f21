-- Sites are to be assessed again for the years in which their points' installations changed, up to now. Times in
-- microseconds since 1970.
insert into nengliu.assessment_due (site_id, year, terms)
select distinct u.site_id, y.year, true
from unnest(%(site)s::int[], %(from)s::bigint[], %(to)s::bigint[]) u (site_id, from_us, to_us)
cross join lateral generate_series(
    extract(year from (timestamptz 'epoch' + greatest(u.from_us, 946684800000000) * interval '1 microsecond')
                      at time zone nengliu.local_zone())::int,
    extract(year from least(timestamptz 'epoch' + least(u.to_us, 4102444800000000) * interval '1 microsecond', now())
                      at time zone nengliu.local_zone())::int) y (year)
