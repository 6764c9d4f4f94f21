-- What people judge of readings, for Grafana. See docs/decisions/reviews.md.

create view api.reading_doubt with (security_barrier) as
select s.site_code, p.point_code, e.meter, e.register, d.ts, r.value, d.kind
from nengliu.reading_doubt d
join nengliu.series e using (series_id)
join nengliu.point p using (point_id)
join nengliu.site s using (site_id)
left join nengliu.reading r on r.series_id = d.series_id and r.ts = d.ts;

create view api.reading_review with (security_barrier) as
select s.site_code, p.point_code, e.meter, e.register, v.ts, v.value, v.verdict, v.reviewed_by, v.reviewed_at, v.note
from nengliu.reading_review v
join nengliu.series e using (series_id)
left join nengliu.installation i
    on i.meter = e.meter and i.register = e.register
    and i.installed_at <= v.ts and (i.removed_at is null or v.ts < i.removed_at)
left join nengliu.point p using (point_id)
left join nengliu.site s on s.site_id = p.site_id;

-- A person's verdict finds the findings of its series without reading the others.
create index finding_of_register on nengliu.finding (meter, register, starts) where rule = 'steps';

grant select on api.reading_doubt, api.reading_review to nengliu_read, nengliu_pipeline;
