-- Stretches of stamps beside the grid that are to be looked at: new ones, and those whose gateway was heard since they
-- were looked at last, after a pause that grows with their age. gateway, interval_s: of the meter's installation then,
-- else its last one. expired: this look is the last.
select b.stamp_id, b.series_id, i.gateway, i.interval_s, (extract(epoch from b.from_ts) * 1000000)::int8,
       (extract(epoch from b.to_ts) * 1000000)::int8, b.looked_at is null as new,
       b.noted_at < clock_timestamp() - %(kept)s::interval as expired
from nengliu.stamp_beside b
join nengliu.series s using (series_id)
cross join lateral (select gateway, interval_s from nengliu.installation
                    where meter = s.meter and register = s.register
                    order by installed_at <= b.from_ts and (removed_at is null or removed_at > b.from_ts) desc,
                             installed_at desc
                    limit 1) i
left join nengliu.gateway g on g.gateway = i.gateway
where b.looked_at is null or b.noted_at < clock_timestamp() - %(kept)s::interval
   or (g.heard_at >= b.looked_at
       and clock_timestamp() - b.noted_at >= (b.looked_at - b.noted_at) * %(pause)s::float8)
order by b.stamp_id
limit %(most)s
