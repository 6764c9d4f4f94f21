-- Takes the oldest marks away, and says what they mark.
with taken as (
    delete from nengliu.assessment_due
    where due_id in (select due_id
                     from nengliu.assessment_due
                     order by due_id
                     limit %(at_most)s
                     for update skip locked)
    returning due_id, site_id, item_code, year, terms
)
select s.site_code, t.item_code, t.year, t.terms
from taken t
join nengliu.site s using (site_id)
