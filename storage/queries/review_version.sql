-- The stored version of a reading that has this value, locked together with the reading.
select r.value as current, v.value, v.kind, v.gateway, v.received_at
from nengliu.reading r
left join nengliu.reading_version v on v.series_id = r.series_id and v.ts = r.ts and v.value = %(value)s
where r.series_id = %(series)s and r.ts = %(ts)s
for update of r
