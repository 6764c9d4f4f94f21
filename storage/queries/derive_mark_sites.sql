-- A change of every point of some sites (none named: of all); times in microseconds since 1970, without bound as
-- -2^62 and 2^62.
insert into nengliu.change (site_id, point_id, from_ts, to_ts)
select p.site_id, p.point_id,
    case when %(from)s <= -4611686018427387904 then '-infinity'
         else timestamptz 'epoch' + %(from)s::bigint * interval '1 microsecond' end,
    case when %(to)s >= 4611686018427387904 then 'infinity'
         else timestamptz 'epoch' + %(to)s::bigint * interval '1 microsecond' end
from nengliu.point p
join nengliu.site s using (site_id)
where %(codes)s::text[] = '{}' or s.site_code = any (%(codes)s::text[])
