-- What a verdict on readings makes of the findings of their register. A finding of readings lasts from the first in
-- doubt to the next good one; one of a step is judged by the reading that the step ends with.
update nengliu.finding f
set state = %(verdict)s, changed_at = clock_timestamp(),
    detail = f.detail || jsonb_build_object('review', jsonb_build_object(
        'verdict', %(verdict)s::text, 'by', %(by)s::text, 'at', clock_timestamp(), 'note', %(note)s::text))
where f.rule = 'steps' and f.meter = %(meter)s and f.register = %(register)s and f.state <> 'withdrawn'
  and exists (
      select from unnest(%(moments)s::timestamptz[]) as u (ts)
      where case when f.kind = any (%(step_kinds)s) then u.ts = f.ends
                 else u.ts >= f.starts and (f.ends is null or u.ts < f.ends) end)
returning f.finding_id
