-- What people judged last of the readings of series, where the reading still has the value that was judged:
-- series_id, ts, verdict (1 accepted, -1 refused). What was taken back, or of another value by now, is not here.
select v.series_id, v.ts, (case v.verdict when 'accepted' then 1 else -1 end)::int2 as verdict
from unnest(%(series)s::int4[]) as u (series_id)
cross join lateral (
    select distinct on (ts) series_id, ts, value, verdict
    from nengliu.reading_review
    where series_id = u.series_id
    order by ts, review_id desc
) v
cross join lateral (
    select value from nengliu.reading where series_id = v.series_id and ts = v.ts limit 1
) r
where v.verdict <> 'open' and r.value = v.value
