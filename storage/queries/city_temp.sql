-- What a city's registry is multiplied out of: its sites, the points that each of them has, and their registers.
create temp table city_site (site_n int primary key, site_code text not null) on commit drop;
create temp table city_point (
    number int primary key, item_code text not null, parent int, name text not null, level int not null,
    register text not null, unit text not null
) on commit drop;
create temp table city_register (
    site_n int not null, number int not null, rated_per_hour float8 not null, start_value float8 not null,
    primary key (site_n, number)
) on commit drop;
