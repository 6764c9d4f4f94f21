-- The newest reading of each subject of some gateways.
select s.gateway, s.meter, max(l.ts)
from silence_subject s
join silence_member m using (n)
join nengliu.series e on e.meter = m.meter
cross join lateral (select r.ts from nengliu.reading r
                    where r.series_id = e.series_id and r.ts >= m.from_ts and r.ts < m.to_ts
                    order by r.ts desc limit 1) l
where s.gateway = any (%(gateways)s)
group by s.gateway, s.meter
