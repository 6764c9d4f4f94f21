-- When which points count for the items of the sites: in whole hours for their energy, exactly for installed time;
-- and the items of the sites.
with hours as (
    insert into derive_root
    select site_id, item_code, point_id, lower(span), upper(span)
    from (
        select site_id, item_code, point_id, unnest(range_agg(tstzrange(
            date_trunc('hour', from_ts, 'UTC'),
            date_trunc('hour', to_ts + interval '1 hour' - interval '1 microsecond', 'UTC')))) as span
        from nengliu.root_span
        where site_id = any (%(sites)s)
        group by site_id, item_code, point_id
    ) r
), items as (
    insert into derive_item
    select site_id, item_code from nengliu.root_span where site_id = any (%(sites)s)
    union
    select site_id, item_code from nengliu.site_period where grain = 'year' and site_id = any (%(sites)s)
)
insert into derive_root_level
select site_id, item_code, at, next, points
from (
    select site_id, item_code, at, sum(sum(step)) over w as points, lead(at) over w as next
    from (
        select site_id, item_code, from_ts as at, 1 as step from nengliu.root_span where site_id = any (%(sites)s)
        union all
        select site_id, item_code, to_ts, -1 from nengliu.root_span where site_id = any (%(sites)s)
    ) e
    group by site_id, item_code, at
    window w as (partition by site_id, item_code order by at)
) l
where points > 0 and next is not null
