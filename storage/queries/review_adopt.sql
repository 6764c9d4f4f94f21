-- Exchange a reading's value for a stored version of it; the value that it had is kept as superseded.
with chosen as (
    delete from nengliu.reading_version
    where series_id = %(series)s and ts = %(ts)s and value = %(value)s
    returning gateway, received_at
), kept as (
    insert into nengliu.reading_version (series_id, ts, value, kind, gateway, received_at)
    select r.series_id, r.ts, r.value, 'superseded', c.gateway, r.received_at
    from nengliu.reading r, chosen c
    where r.series_id = %(series)s and r.ts = %(ts)s
    on conflict do nothing
)
update nengliu.reading r
set value = %(value)s, received_at = c.received_at
from chosen c
where r.series_id = %(series)s and r.ts = %(ts)s
