-- What was said of the windows before: doubtful readings, and what verdicts and estimates hang on, up to a level.
with doubts as (
    delete from nengliu.reading_doubt d
    using derive_window w
    where d.point_id = w.point_id and d.ts >= w.from_ts and d.ts < w.to_ts
)
delete from nengliu.dependency d
using derive_window w
where d.point_id = w.point_id and d.anchor_from < w.to_ts and d.anchor_to > w.from_ts
  and d.level <= %(level)s
