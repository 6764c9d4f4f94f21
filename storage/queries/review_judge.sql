-- A verdict on readings of a series in [low, high]: of accepted, if not `one`, those in doubt, refused by a person, or
-- ending a step in doubt; of refused all; of open those that have a verdict. Nothing beyond a register's range is
-- accepted. Locks them; the moments judged.
with picked as materialized (
    select r.ts, r.value
    from nengliu.reading r
    where r.series_id = %(series)s and r.ts >= %(low)s and r.ts <= %(high)s
      and case %(verdict)s
          when 'refused' then true
          when 'open' then coalesce((
              select v.verdict <> 'open' and v.value = r.value
              from nengliu.reading_review v where v.series_id = r.series_id and v.ts = r.ts
              order by v.review_id desc limit 1), false)
          else %(one)s
              or exists (select from nengliu.reading_doubt d where d.series_id = r.series_id and d.ts = r.ts)
              or coalesce((
                  select v.verdict = 'refused' and v.value = r.value
                  from nengliu.reading_review v where v.series_id = r.series_id and v.ts = r.ts
                  order by v.review_id desc limit 1), false)
              or exists (
                  select from nengliu.finding f
                  where f.rule = 'steps' and f.meter = %(meter)s and f.register = %(register)s
                    and f.kind = any (%(doubtful_steps)s) and f.ends = r.ts and f.state in ('open', 'refused'))
          end
      and (%(verdict)s <> 'accepted' or not exists (
          select from nengliu.reading_doubt d
          where d.series_id = r.series_id and d.ts = r.ts and d.kind = 'out_of_range'))
    order by r.ts
    for update of r
)
insert into nengliu.reading_review (series_id, ts, value, verdict, reviewed_by, note)
select %(series)s, ts, value, %(verdict)s, %(by)s, %(note)s from picked order by ts
returning ts
