-- offsets: text of a float8[]: sent_at minus receipt of new messages, in order.
insert into nengliu.gateway as g (gateway, heard_at, last_reading, event_ts, recent_offsets_s, clock_offset_s)
select u.gateway, u.heard_at, u.newest, u.newest, o.recent, o.median
from unnest(%(gateway)s::text[], %(heard_at)s::timestamptz[], %(newest)s::timestamptz[], %(offsets)s::text[])
    as u (gateway, heard_at, newest, offsets)
left join nengliu.gateway old on old.gateway = u.gateway
cross join lateral (select array(
    select x from unnest(coalesce(old.recent_offsets_s, '{}') || u.offsets::float8[]) with ordinality as t (x, n)
    order by n desc limit 20) as newest_first) k
cross join lateral (
    select array(select x from unnest(k.newest_first) with ordinality as t (x, n) order by n desc) as recent,
           (select percentile_cont(0.5) within group (order by x) from unnest(k.newest_first) as t (x)) as median) o
order by u.gateway
on conflict (gateway) do update
set heard_at = greatest(g.heard_at, excluded.heard_at),
    last_reading = greatest(g.last_reading, excluded.last_reading),
    event_ts = greatest(g.event_ts, excluded.event_ts),
    recent_offsets_s = excluded.recent_offsets_s,
    clock_offset_s = case when g.offset_is_own then g.clock_offset_s else excluded.clock_offset_s end
