-- Findings of the windows as the data has them now: those that it no longer gives are withdrawn, unless a person judged
-- them; new ones are opened, and ones that were withdrawn opened again, and so are those that the data still gives though no
-- verdict on them stands any more: it is of a value that was corrected, or of a reading that the finding no longer is
-- about. What a person said of them stays in `detail`.
with fresh as materialized (
    select *
    from jsonb_to_recordset(%(rows)s) as u
        (rule_key text, kind text, severity text, meter text, register text, gateway text, point_id int, site_id int,
         starts timestamptz, ends timestamptz, detail jsonb)
), asked_again as materialized (
    select f.finding_id
    from fresh
    join nengliu.finding f on f.rule = 'steps' and f.rule_key = fresh.rule_key
    where f.state in ('accepted', 'refused') and not exists (
        select
        from nengliu.series e
        join nengliu.reading_review v using (series_id)
        join nengliu.reading r on r.series_id = v.series_id and r.ts = v.ts and r.value = v.value
        where e.meter = fresh.meter and e.register = fresh.register and v.verdict <> 'open'
          and case when fresh.kind = any (%(step_kinds)s) then v.ts = fresh.ends
                   else v.ts >= fresh.starts and v.ts < fresh.ends end
          and not exists (select from nengliu.reading_review later
                          where later.series_id = v.series_id and later.ts = v.ts and later.review_id > v.review_id))
), gone as (
    update nengliu.finding f
    set state = 'withdrawn', changed_at = clock_timestamp()
    from derive_window w
    where f.rule = 'steps' and f.point_id = w.point_id and f.state = 'open'
      and f.starts < w.to_ts and f.ends > w.from_ts
      and not exists (select from fresh where fresh.rule_key = f.rule_key)
)
insert into nengliu.finding as f
    (rule, rule_key, kind, severity, subject, meter, register, gateway, point_id, site_id, starts, ends, state, detail)
select 'steps', rule_key, kind, severity, meter, meter, register, gateway, point_id, site_id, starts, ends, 'open', detail
from fresh
on conflict (rule, rule_key) where rule is not null do update
set ends = excluded.ends, point_id = excluded.point_id, site_id = excluded.site_id,
    detail = excluded.detail || case when f.detail ? 'review' then jsonb_build_object('review', f.detail -> 'review') else '{}' end,
    state = case when f.state = 'withdrawn' or f.finding_id in (table asked_again) then 'open' else f.state end,
    changed_at = clock_timestamp()
where (f.ends, f.point_id, f.detail)
      is distinct from (excluded.ends, excluded.point_id, excluded.detail || case when f.detail ? 'review' then jsonb_build_object('review', f.detail -> 'review') else '{}' end)
   or f.state = 'withdrawn' or f.finding_id in (table asked_again)
