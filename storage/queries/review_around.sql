-- A reading with those around it, at most `most` on each side, each with its doubt and its standing verdict.
select r.ts, r.value, r.received_at, d.kind,
       case when v.value = r.value and v.verdict <> 'open' then v.verdict end as verdict
from (
    (select ts, value, received_at from nengliu.reading
     where series_id = %(series)s and ts < %(ts)s order by ts desc limit %(most)s)
    union all
    (select ts, value, received_at from nengliu.reading
     where series_id = %(series)s and ts >= %(ts)s order by ts limit %(most)s + 1)
) r
left join nengliu.reading_doubt d on d.series_id = %(series)s and d.ts = r.ts
left join lateral (
    select value, verdict from nengliu.reading_review
    where series_id = %(series)s and ts = r.ts order by review_id desc limit 1) v on true
order by r.ts
