-- Marks every site for this year, and for each that ended since that was done last.
insert into nengliu.assessment_due (site_id, year, terms)
select s.site_id, y.year, true
from nengliu.assessment_cursor c
cross join generate_series(coalesce(extract(year from c.marked_on)::int, %(year)s::int), %(year)s::int) y (year)
cross join nengliu.site s
order by y.year, s.site_id
