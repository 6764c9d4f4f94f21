-- Gateways with a finding of silence that lasts or ends within or after their windows.
select distinct f.gateway
from unnest(%(gateway)s::text[], %(from)s::timestamptz[]) w (gateway, from_ts)
join nengliu.finding f using (gateway)
where f.kind in ('silent_meter', 'silent_gateway') and f.state = 'open' and (f.ends is null or f.ends >= w.from_ts)
