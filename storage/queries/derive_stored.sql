-- Hours of the windows as they were stored, packed. Window by window by the key (offset 0 keeps it so), whatever the
-- statistics.
select string_agg(int4send(h.point_id) || timestamptz_send(h.hour) || float8send(h.consumption) || float8send(h.estimated)
                  || float8send(h.covered_s) || float8send(h.installed_s) || int2send(h.method), ''::bytea)
from derive_window w
cross join lateral (
    select point_id, hour, consumption, estimated, covered_s, installed_s, method
    from nengliu.point_hour
    where point_id = w.point_id and hour >= w.from_ts and hour < w.to_ts
      and hour >= %(from_ts)s::timestamptz and hour < %(to_ts)s::timestamptz
    offset 0
) h
