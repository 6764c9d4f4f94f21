insert into nengliu.root_span (site_id, item_code, point_id, from_ts, to_ts)
select site_id, item_code, point_id,
       case when from_us <= %(start)s then '-infinity'
            else 'epoch'::timestamptz + from_us * interval '1 microsecond' end,
       case when to_us >= %(end)s then 'infinity'
            else 'epoch'::timestamptz + to_us * interval '1 microsecond' end
from unnest(%(site_id)s::int4[], %(item_code)s::text[], %(point_id)s::int4[], %(from_us)s::int8[], %(to_us)s::int8[])
    as u (site_id, item_code, point_id, from_us, to_us)
