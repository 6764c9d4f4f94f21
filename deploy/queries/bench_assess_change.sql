-- A day of some sites changes by a percent, and is marked, as the derivation does.
with moved as (
    update nengliu.site_period
    set consumption = consumption * 1.01
    where grain = 'day' and item_code = '01' and period = %(day)s and site_id = any (%(sites)s)
    returning site_id, item_code, period
)
insert into nengliu.assessment_due (site_id, item_code, year)
select site_id, item_code, extract(year from period)::int from moved
