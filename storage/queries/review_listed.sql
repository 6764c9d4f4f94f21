-- Readings in doubt and readings with a standing verdict, of installed registers, with what people said last.
-- run: a new number where a good reading lies between, or kind or verdict change.
with doubted as (
    select d.series_id, d.ts, d.point_id, d.kind
    from nengliu.reading_doubt d
    join nengliu.point p using (point_id) join nengliu.site s using (site_id)
    where %(doubts)s
      and (%(site)s::text is null or s.site_code = %(site)s) and (%(point)s::text is null or p.point_code = %(point)s)
      and (%(series)s::int4[] is null or d.series_id = any (%(series)s))
      and d.ts >= %(low)s and d.ts <= %(high)s
), judged as (
    select distinct on (v.series_id, v.ts) v.series_id, v.ts, v.value, v.verdict, v.reviewed_by, v.reviewed_at, v.note
    from nengliu.reading_review v
    where v.ts >= %(low)s and v.ts <= %(high)s and (%(series)s::int4[] is null or v.series_id = any (%(series)s))
    order by v.series_id, v.ts, v.review_id desc
), listed as (
    select series_id, ts from doubted
    union
    select series_id, ts from judged where %(reviews)s and verdict <> 'open'
), told as (
    select s.site_code, p.point_code, p.item_code, i.unit, i.ratio, e.meter, e.register, l.series_id, l.ts, r.value,
           d.kind, case when v.value = r.value and v.verdict <> 'open' then v.verdict else 'open' end as state,
           v.reviewed_by, v.reviewed_at, v.note,
           lag(l.ts) over (partition by l.series_id order by l.ts) as prior
    from listed l
    join nengliu.series e using (series_id)
    cross join lateral (select value from nengliu.reading where series_id = l.series_id and ts = l.ts limit 1) r
    left join nengliu.reading_doubt d on d.series_id = l.series_id and d.ts = l.ts
    left join judged v on v.series_id = l.series_id and v.ts = l.ts
    left join nengliu.installation i
        on i.meter = e.meter and i.register = e.register
        and i.installed_at <= l.ts and (i.removed_at is null or l.ts < i.removed_at)
    left join nengliu.point p on p.point_id = i.point_id
    left join nengliu.site s on s.site_id = p.site_id
)
select t.site_code, t.point_code, t.item_code, t.unit, t.ratio, t.meter, t.register, t.series_id, t.ts, t.value,
       t.kind, t.state, t.reviewed_by, t.reviewed_at, t.note,
       t.prior is null or exists (
           select from nengliu.reading b where b.series_id = t.series_id and b.ts > t.prior and b.ts < t.ts
       ) as apart
from told t
where (%(site)s::text is null or t.site_code = %(site)s) and (%(point)s::text is null or t.point_code = %(point)s)
  and (%(kind)s::text is null or t.kind = %(kind)s) and (%(state)s::text is null or t.state = %(state)s)
order by t.meter, t.register, t.ts
limit %(limit)s
