select site_code, name, kind, sector, building_type, district_code, floor_area_m2
from nengliu.site order by site_code
