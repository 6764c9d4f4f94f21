-- What persons judged of readings of series: the newest counts, as long as the reading shows that value.
select series_id, ts, value, verdict
from (
    select distinct on (series_id, ts)
           series_id, (extract(epoch from ts) * 1000000)::bigint as ts, value,
           case verdict when 'accepted' then 1 when 'refused' then -1 else 0 end as verdict
    from nengliu.reading_review
    where series_id = any (%(series)s)
    order by series_id, ts, review_id desc
) newest
where verdict <> 0
