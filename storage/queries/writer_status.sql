-- One status message. Repeats change nothing; one received before the current state began is older news.
-- A gateway that is online and gives no clock offset is measured by its messages again; a last will gives none anyway.
-- The broker says "offline" for a gateway that is gone: that is not hearing from it, unless it took its leave (final).
insert into nengliu.gateway as g
    (gateway, state, since, heard_at, clock_offset_s, offset_is_own, outbox_depth, outbox_oldest, final)
values (%(gateway)s, %(state)s, %(received_at)s,
        case when %(state)s = 'online' or %(final)s then %(received_at)s::timestamptz end,
        %(clock_offset_s)s, %(clock_offset_s)s::float8 is not null, %(outbox_depth)s, %(outbox_oldest)s, %(final)s)
on conflict (gateway) do update
set state = excluded.state,
    since = case when g.state is not distinct from excluded.state then g.since else excluded.since end,
    heard_at = case when g.state is not distinct from excluded.state then g.heard_at
                    else greatest(g.heard_at, excluded.heard_at) end,
    clock_offset_s = case when excluded.offset_is_own then excluded.clock_offset_s
        when excluded.state = 'online' and g.offset_is_own
            then (select percentile_cont(0.5) within group (order by x) from unnest(g.recent_offsets_s) as t (x))
        else g.clock_offset_s end,
    offset_is_own = excluded.offset_is_own or (g.offset_is_own and excluded.state <> 'online'),
    outbox_depth = coalesce(excluded.outbox_depth, g.outbox_depth),
    outbox_oldest = case when excluded.outbox_depth is null then coalesce(excluded.outbox_oldest, g.outbox_oldest)
                         else excluded.outbox_oldest end,
    final = case when excluded.state = 'online' then excluded.final else g.final or excluded.final end
where g.since is null or excluded.since >= g.since
