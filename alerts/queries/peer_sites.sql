select site_id, building_type, floor_area_m2
from nengliu.site
where building_type = any (%(building_types)s::text[]) and floor_area_m2 > 0
