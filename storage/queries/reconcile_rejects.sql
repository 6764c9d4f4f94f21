-- Dead letters that were not put in again, by the local day of their first receipt.
with bounds as (
    select min(day)::timestamp at time zone nengliu.local_zone() as low,
           (max(day) + 1)::timestamp at time zone nengliu.local_zone() as high
    from unnest(%(days)s::date[]) as u (day)
)
select (received_at at time zone nengliu.local_zone())::date as day, gateway, count(*)
from nengliu.reject, bounds
where requeued_at is null and received_at >= low and received_at < high
group by 1, 2
