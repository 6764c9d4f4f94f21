-- Meters and ratios exchanged at root points of each series, k, between two instants: where what counts energy was
-- followed by another meter, or ratio, within three days; not of meters read less than daily, whose days are shares of
-- one step. judged: what a person said of the finding about it; accepted is one of the ratios as they still are.
select k.ix::int4 - 1, p.point_id, p.point_code, min(i.installed_at) as at, min(f.state::text) as judged
from unnest(%(sites)s::int[], %(items)s::text[]) with ordinality k (site_id, item_code, ix)
join nengliu.root_span r on r.site_id = k.site_id and r.item_code = k.item_code
join nengliu.point p on p.point_id = r.point_id
join nengliu.installation i on i.point_id = r.point_id and i.register = any (%(counting)s)
    and i.installed_at >= r.from_ts and i.installed_at < r.to_ts and i.removed_at is distinct from i.installed_at
join nengliu.installation old on old.point_id = i.point_id and old.register = i.register
    and old.installed_at < old.removed_at and old.removed_at <= i.installed_at
    and old.removed_at > i.installed_at - interval '3 days'
    and (old.meter, old.ratio) is distinct from (i.meter, i.ratio)
    and i.interval_s <= 86400 and old.interval_s <= 86400
left join nengliu.finding f on f.point_id = i.point_id and f.rule = 'levels' and f.detail ->> 'evidence' = 'exchange'
    and f.starts between i.installed_at - interval '36 hours' and i.installed_at + interval '36 hours'
    and (f.state = 'refused'
         or f.state = 'accepted' and (f.detail ->> 'ratio')::float8 = i.ratio and (f.detail ->> 'old_ratio')::float8 = old.ratio)
where i.installed_at >= %(begins)s and i.installed_at < %(ends)s
group by k.ix, p.point_id, p.point_code, i.installed_at
order by k.ix, i.installed_at, p.point_id
