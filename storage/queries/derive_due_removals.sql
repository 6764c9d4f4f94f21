-- Installations whose removal has come since we looked last (at first: in the last 31 days): their energy goes on to
-- that moment now, to the end_value or estimated. Marks them, and gives the moment of this look.
with due as (
    insert into nengliu.change (site_id, point_id, from_ts, to_ts)
    select p.site_id, p.point_id, i.removed_at, i.removed_at
    from nengliu.installation i
    join nengliu.point p using (point_id)
    where i.removed_at > i.installed_at and i.removed_at <= now()
      and i.removed_at > coalesce(%(since)s::timestamptz, now() - interval '31 days')
)
select now()
