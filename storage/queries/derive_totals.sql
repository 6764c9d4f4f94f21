-- Hours of totals that may come out differently by what their children tell, where the totals or their children are in the
-- windows: that hang on them; that a total did not measure and a child did; and that were told by children. Times in
-- microseconds since 1970, without bound as 2^62. An hour reaches on to the next one, so that the end of a day is inside.
with asked as materialized (
    select w.point_id, w.from_ts, w.to_ts
    from derive_window w
    where exists (select from nengliu.point c where c.parent_point_id = w.point_id)
    union
    select p.parent_point_id, w.from_ts, w.to_ts
    from derive_window w
    join nengliu.point p using (point_id)
    where p.parent_point_id is not null
), unmeasured as (
    select a.point_id, c.hour
    from asked a
    join nengliu.point p using (point_id)
    join nengliu.point k on k.parent_point_id = p.point_id and starts_with(k.item_code, p.item_code)
    join nengliu.point_hour c on c.point_id = k.point_id and c.hour >= a.from_ts and c.hour < a.to_ts
        and c.estimated = 0 and c.covered_s = 3600
    where exists (
        select from nengliu.point_span s
        where s.point_id = a.point_id and s.from_ts < c.hour + interval '1 hour' and s.to_ts > c.hour)
      and not exists (
        select from nengliu.point_hour h
        where h.point_id = a.point_id and h.hour = c.hour and h.estimated = 0 and h.covered_s = h.installed_s)
    union
    select a.point_id, h.hour
    from asked a
    join nengliu.point_hour h on h.point_id = a.point_id and h.hour >= a.from_ts and h.hour < a.to_ts
    join nengliu.energy_method m on m.rank = h.method and m.method in ('children', 'children_usual')
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
