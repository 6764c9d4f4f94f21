-- Hours of totals that may come out differently by what their children tell, where the totals or their children are in the
-- windows: that hang on them; that a total did not measure and a child did; and that were told by children. Times in
-- microseconds since 1970, without bound as 2^62. An hour reaches on to the next one, so that the end of a day is inside.
-- Hours are looked up window by window (offset 0 keeps it so), whatever the statistics.
with asked as materialized (
    select w.point_id, w.from_ts, w.to_ts
    from derive_window w
    where exists (select from nengliu.point c where c.parent_point_id = w.point_id)
    union
    select p.parent_point_id, w.from_ts, w.to_ts
    from derive_window w
    join nengliu.point p using (point_id)
    where p.parent_point_id is not null
), own as materialized (
    select a.point_id, h.hour, h.method, h.estimated = 0 and h.covered_s = h.installed_s as measured
    from asked a
    cross join lateral (
        select hour, method, estimated, covered_s, installed_s
        from nengliu.point_hour
        where point_id = a.point_id and hour >= a.from_ts and hour < a.to_ts
          and hour >= %(from_ts)s::timestamptz and hour < %(to_ts)s::timestamptz
        offset 0
    ) h
), unmeasured as (
    select point_id, hour
    from (
        select a.point_id, c.hour
        from asked a
        join nengliu.point p using (point_id)
        join nengliu.point k on k.parent_point_id = p.point_id and starts_with(k.item_code, p.item_code)
        cross join lateral (
            select hour
            from nengliu.point_hour
            where point_id = k.point_id and hour >= a.from_ts and hour < a.to_ts
              and hour >= %(from_ts)s::timestamptz and hour < %(to_ts)s::timestamptz
              and estimated = 0 and covered_s = 3600
            offset 0
        ) c
        except
        select point_id, hour from own where measured
    ) u
    where exists (
        select from nengliu.point_span s
        where s.point_id = u.point_id and s.from_ts < u.hour + interval '1 hour' and s.to_ts > u.hour)
    union
    select o.point_id, o.hour
    from own o
    join nengliu.energy_method m on m.rank = o.method and m.method in ('children', 'children_usual')
)
select d.point_id,
       case when d.from_ts = '-infinity' then -4611686018427387904
            else (extract(epoch from d.from_ts) * 1000000)::bigint end,
       case when d.to_ts = 'infinity' then 4611686018427387904
            else (extract(epoch from d.to_ts) * 1000000)::bigint end
from asked a
join nengliu.dependency d on d.point_id = a.point_id and d.on_to >= a.from_ts and d.on_from <= a.to_ts
where d.level = %(level)s
union
select point_id, lower(span), upper(span)
from (
    select point_id, unnest(range_agg(int8range(
        (extract(epoch from hour) * 1000000)::bigint, (extract(epoch from hour) * 1000000)::bigint + 7200000000))) as span
    from unmeasured
    group by point_id
) u
