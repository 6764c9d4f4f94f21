-- All findings that are not withdrawn.
select site_code, point_code, meter, detail ->> 'gateway', kind, starts, ends, state
from api.finding
where state <> 'withdrawn'
order by starts, kind, site_code, point_code, meter
