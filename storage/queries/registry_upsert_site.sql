insert into nengliu.site as s (site_code, name, kind, sector, building_type, district_code, floor_area_m2)
select * from unnest(%(site_code)s::text[], %(name)s::text[], %(kind)s::text[], %(sector)s::text[],
                     %(building_type)s::text[], %(district_code)s::text[], %(floor_area_m2)s::float8[])
on conflict (site_code) do update
set name = excluded.name, kind = excluded.kind, sector = excluded.sector, building_type = excluded.building_type,
    district_code = excluded.district_code, floor_area_m2 = excluded.floor_area_m2
