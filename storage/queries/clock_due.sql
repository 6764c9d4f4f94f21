-- Stretches of stamps in doubt that are to be looked at: new ones, and those whose meter's gateway was heard since
-- they were looked at last, after a pause that grows with their age. gateways: all that ever read the meter, as stamps of
-- another year do not tell when it was. expired: this look is the last.
select b.stamp_id, b.series_id, i.gateways, i.interval_s, (extract(epoch from b.from_ts) * 1000000)::int8,
       (extract(epoch from b.to_ts) * 1000000)::int8, b.twice, b.looked_at is null as new,
       b.noted_at < clock_timestamp() - %(kept)s::interval as expired
from nengliu.stamp_doubt b
join nengliu.series s using (series_id)
cross join lateral (select coalesce(array_agg(distinct n.gateway), '{}') as gateways, min(n.interval_s) as interval_s,
                           max(g.heard_at) as heard_at
                    from nengliu.installation n left join nengliu.gateway g using (gateway)
                    where n.meter = s.meter and n.register = s.register) i
where b.looked_at is null or b.noted_at < clock_timestamp() - %(kept)s::interval
   or (i.heard_at >= b.looked_at
       and clock_timestamp() - b.noted_at >= (b.looked_at - b.noted_at) * %(pause)s::float8)
order by b.looked_at nulls first, b.stamp_id
limit %(most)s
