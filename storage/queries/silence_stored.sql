select gateway, meter, from_ts, to_ts, initial
from nengliu.silent_step where gateway = any (%(gateways)s) order by from_ts
