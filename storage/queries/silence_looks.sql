-- What to look through: from the last reading before a window (the span's begin) to the first after it (the span's end).
-- A window reaches back to its gateway's last reading before, so that a span which ended since then is looked at, too.
insert into silence_look (n, from_ts, to_ts)
with reached as (
    select w.gateway, least(w.from_ts, b.ts) as from_ts, w.to_ts
    from silence_window w
    cross join lateral (
        select max(l.ts) as ts
        from silence_subject s
        join silence_member m using (n)
        join nengliu.series e on e.meter = m.meter
        cross join lateral (select r.ts from nengliu.reading r
                            where r.series_id = e.series_id and r.ts < w.from_ts
                              and r.ts >= m.from_ts and r.ts < m.to_ts
                            order by r.ts desc limit 1) l
        where s.gateway = w.gateway and s.meter = '') b
)
select s.n, coalesce(b.ts, s.from_ts), coalesce(a.ts, case when s.ended then s.to_ts else 'infinity' end)
from reached w
join silence_subject s on s.gateway = w.gateway and s.from_ts <= w.to_ts and s.to_ts >= w.from_ts
cross join lateral (
    select max(l.ts) as ts
    from silence_member m
    join nengliu.series e on e.meter = m.meter
    cross join lateral (select r.ts from nengliu.reading r
                        where r.series_id = e.series_id and r.ts < w.from_ts and r.ts >= m.from_ts and r.ts < m.to_ts
                        order by r.ts desc limit 1) l
    where m.n = s.n) b
cross join lateral (
    select min(l.ts) as ts
    from silence_member m
    join nengliu.series e on e.meter = m.meter
    cross join lateral (select r.ts from nengliu.reading r
                        where r.series_id = e.series_id and r.ts > w.to_ts and r.ts >= m.from_ts and r.ts < m.to_ts
                        order by r.ts limit 1) l
    where m.n = s.n) a
