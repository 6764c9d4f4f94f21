-- Findings of silence of some gateways and their meters (meter '': of the gateway itself).
select gateway, coalesce(meter, ''), finding_id, coalesce(anchor, starts), ends,
       case when state = 'open' then 'open' else 'closed' end
from nengliu.finding
where gateway = any (%(gateways)s) and kind in ('silent_meter', 'silent_gateway') and state <> 'withdrawn'
