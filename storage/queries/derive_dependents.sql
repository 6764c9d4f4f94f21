-- Hours of points that hang on what is in the windows; times in microseconds since 1970, without bound as 2^62.
select distinct d.point_id,
       case when d.from_ts = '-infinity' then -4611686018427387904
            else (extract(epoch from d.from_ts) * 1000000)::bigint end,
       case when d.to_ts = 'infinity' then 4611686018427387904
            else (extract(epoch from d.to_ts) * 1000000)::bigint end
from derive_window w
join nengliu.dependency d on d.point_id = w.point_id and d.on_to >= w.from_ts and d.on_from <= w.to_ts
where d.level = %(level)s
