-- Versions of factors that were known at a time (default now), all of them or those in force on a local day.
select item_code, quantity, value, unit, valid_from, case when valid_to < 'infinity' then valid_to end as valid_to,
       source, confidence, approved_by, shipped, recorded_at, recorded_by, superseded_at
from nengliu.factor_version
where (%(item)s::text is null or item_code = %(item)s)
  and (%(on)s::date is null or valid_from <= %(on)s and %(on)s < valid_to)
  and recorded_at <= coalesce(%(known_at)s::timestamptz, 'infinity')
  and coalesce(superseded_at, 'infinity') > coalesce(%(known_at)s::timestamptz, clock_timestamp())
order by item_code, quantity, valid_from
