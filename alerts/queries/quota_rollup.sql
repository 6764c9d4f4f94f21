-- How many sites are at each level of quota, by area of one kind.
select level, code, item_code, unit, year, quota_level, sites, sites_share, used, used_share, floor_area_m2,
       floor_area_share
from api.quota_state_area
where level = %(level)s and item_code = %(item)s and year = %(year)s
order by code, array_position(
    array['undetermined', 'normal', 'watch', 'warning', 'over', 'severe', 'enforcement'], quota_level)
