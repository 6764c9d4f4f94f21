-- Installed registers of sites, and of series wherever they are; times in microseconds since 1970.
-- Found in two ways that each follow an index: one condition over both would read the whole registry.
with wanted as (
    select i.installation_id
    from nengliu.point p
    join nengliu.installation i using (point_id)
    where p.site_id = any (%(sites)s)
    union
    select i.installation_id
    from nengliu.series e
    join nengliu.installation i on i.meter = e.meter and i.register = e.register
    where e.series_id = any (%(series)s)
)
select i.installation_id, i.point_id, p.site_id, p.item_code, p.rated_per_hour, e.series_id,
       i.register, i.unit, i.digits, i.decimals, i.ratio, i.interval_s,
       (extract(epoch from i.installed_at) * 1000000)::bigint, (extract(epoch from i.removed_at) * 1000000)::bigint,
       i.start_value, i.end_value, i.meter, i.gateway, i.model, p.point_code
from wanted
join nengliu.installation i using (installation_id)
join nengliu.point p using (point_id)
left join nengliu.series e on e.meter = i.meter and e.register = i.register
where i.removed_at is distinct from i.installed_at
order by i.installation_id
