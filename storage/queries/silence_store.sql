-- Bring the stored steps to those found where was looked; the gateways of which any changed. What is stored of a
-- gateway in its windows and was not found is gone, too, whoever it is of.
with looked as materialized (
    select * from unnest(%(look_gateway)s::text[], %(look_meter)s::text[], %(look_from)s::timestamptz[],
                         %(look_to)s::timestamptz[]) k (gateway, meter, from_ts, to_ts)
), changed as materialized (
    select * from unnest(%(gateway)s::text[], %(from)s::timestamptz[], %(to)s::timestamptz[]) w (gateway, from_ts, to_ts)
), found as materialized (
    select * from unnest(%(step_gateway)s::text[], %(step_meter)s::text[], %(step_from)s::timestamptz[],
                         %(step_to)s::timestamptz[], %(step_initial)s::bool[]) f (gateway, meter, from_ts, to_ts, initial)
), there as (
    select t.gateway, t.meter, t.from_ts
    from looked k
    cross join lateral (select gateway, meter, from_ts from nengliu.silent_step
                        where gateway = k.gateway and meter = k.meter and from_ts >= k.from_ts and from_ts < k.to_ts
                        offset 0) t
    union
    select t.gateway, t.meter, t.from_ts
    from changed w
    cross join lateral (select gateway, meter, from_ts from nengliu.silent_step
                        where gateway = w.gateway and to_ts > w.from_ts and from_ts < w.to_ts
                        offset 0) t
), gone as (
    delete from nengliu.silent_step t
    using (select gateway, meter, from_ts from there except select gateway, meter, from_ts from found) g
    where (t.gateway, t.meter, t.from_ts) = (g.gateway, g.meter, g.from_ts)
    returning t.gateway
), come as (
    insert into nengliu.silent_step as t (gateway, meter, from_ts, to_ts, initial)
    select gateway, meter, from_ts, to_ts, initial from found
    on conflict (gateway, meter, from_ts) do update
    set to_ts = excluded.to_ts, initial = excluded.initial
    where (t.to_ts, t.initial) <> (excluded.to_ts, excluded.initial)
    returning gateway
)
select gateway from gone union select gateway from come
