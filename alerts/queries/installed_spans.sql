-- When the root points of each series are installed, cut to the grid.
select (k.ix - 1)::int4,
       extract(epoch from greatest(r.from_ts, %(begins)s::timestamptz))::float8,
       extract(epoch from least(r.to_ts, %(ends)s::timestamptz))::float8
from unnest(%(sites)s::int[], %(items)s::text[]) with ordinality k (site_id, item_code, ix)
join nengliu.root_span r on r.site_id = k.site_id and r.item_code = k.item_code
where r.from_ts < %(ends)s::timestamptz and r.to_ts > %(begins)s::timestamptz
