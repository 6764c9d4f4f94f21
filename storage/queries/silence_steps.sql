-- Bring the stored steps to what the readings say; the gateways of which any changed.
with moments as (
    select k.n, k.from_ts as look, r.ts, false as edge
    from silence_look k
    join silence_member m using (n)
    join nengliu.series e on e.meter = m.meter
    cross join lateral (select r.ts from nengliu.reading r
                        where r.series_id = e.series_id and r.ts >= k.from_ts and r.ts <= k.to_ts
                          and r.ts >= m.from_ts and r.ts < m.to_ts) r
    union all
    select n, from_ts, from_ts, true from silence_look
    union all
    select n, from_ts, to_ts, true from silence_look where to_ts < 'infinity'
), each_once as (
    select n, look, ts, bool_and(edge) as edge from moments group by n, look, ts
), steps as (
    select n, ts, edge, lead(ts) over (partition by n, look order by ts) as following from each_once
), long as materialized (
    select distinct on (s.gateway, s.meter, t.ts) s.gateway, s.meter, t.ts as from_ts, t.following as to_ts,
           t.edge as initial
    from steps t
    join silence_subject s using (n)
    where t.following - t.ts > s.patience
      and t.following - t.ts > (select min(p.patience) from silence_patience p
                                where p.n = t.n and p.from_ts <= t.ts and p.to_ts > t.ts)
    order by s.gateway, s.meter, t.ts, t.following
), gone as (
    delete from nengliu.silent_step t
    where t.gateway in (select gateway from silence_window)
      and (exists (select from silence_window w
                   where w.gateway = t.gateway and t.to_ts > w.from_ts and t.from_ts < w.to_ts)
           or exists (select from silence_look k join silence_subject s using (n)
                      where s.gateway = t.gateway and s.meter = t.meter
                        and t.from_ts >= k.from_ts and t.from_ts < k.to_ts))
      and not exists (select from long l
                      where l.gateway = t.gateway and l.meter = t.meter and l.from_ts = t.from_ts)
    returning gateway
), come as (
    insert into nengliu.silent_step as t (gateway, meter, from_ts, to_ts, initial)
    select gateway, meter, from_ts, to_ts, initial from long
    on conflict (gateway, meter, from_ts) do update
    set to_ts = excluded.to_ts, initial = excluded.initial
    where (t.to_ts, t.initial) <> (excluded.to_ts, excluded.initial)
    returning gateway
)
select gateway from gone union select gateway from come
