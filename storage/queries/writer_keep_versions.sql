insert into nengliu.reading_version (series_id, ts, value, kind, gateway, received_at)
select series_id, ts, value, case when superseded then 'superseded' else 'conflict' end,
       (%(gateways)s::text[])[gateway_no + 1], received_at
from pg_temp.beside
on conflict do nothing
