-- Touched local days of sites and items: sums of their hours, and the time that their points were installed. What
-- came out differently is to be assessed again.
with fresh as materialized (
    select f.*,
        (select coalesce(sum(l.points * extract(epoch from least(l.to_ts, b.ends) - greatest(l.from_ts, b.begins))), 0)
         from derive_root_level l
         where l.site_id = f.site_id and l.item_code = f.item_code
           and l.from_ts < b.ends and l.to_ts > b.begins)::float8 as installed_s
    from (
        select h.site_id, h.item_code, (h.hour at time zone %(zone)s)::date as period,
               sum(h.consumption order by h.hour) as consumption, sum(h.estimated order by h.hour) as estimated,
               sum(h.covered_s order by h.hour) as covered_s
        from derive_touch t
        join nengliu.site_hour h on h.site_id = t.id and h.hour >= t.from_ts and h.hour < t.to_ts
        where t.grain = 'day' and h.hour >= %(from_ts)s::timestamptz and h.hour < %(to_ts)s::timestamptz
        group by h.site_id, h.item_code, period
    ) f
    cross join lateral (
        select f.period::timestamp at time zone %(zone)s as begins, (f.period + 1)::timestamp at time zone %(zone)s as ends
    ) b
), gone as (
    delete from nengliu.site_period p
    using derive_touch t
    where t.grain = 'day' and p.grain = 'day' and p.site_id = t.id
      and p.period >= t.from_day and p.period < t.to_day
      and (p.site_id, p.item_code, p.period) not in (select site_id, item_code, period from fresh)
    returning p.site_id, p.item_code, p.period
), put as (
    insert into nengliu.site_period as p
        (grain, site_id, item_code, period, consumption, estimated, covered_s, installed_s)
    select 'day', site_id, item_code, period, consumption, estimated, covered_s, installed_s
    from fresh
    on conflict (grain, site_id, item_code, period) do update
    set consumption = excluded.consumption, estimated = excluded.estimated,
        covered_s = excluded.covered_s, installed_s = excluded.installed_s
    where (p.consumption, p.estimated, p.covered_s, p.installed_s)
        is distinct from (excluded.consumption, excluded.estimated, excluded.covered_s, excluded.installed_s)
    returning p.site_id, p.item_code, p.period
)
insert into nengliu.assessment_due (site_id, item_code, year)
select distinct site_id, item_code, extract(year from period)::int
from (table put union all table gone) moved
