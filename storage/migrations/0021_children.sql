-- What a total did not measure is told by its sub-meters. See docs/decisions/estimation.md.
insert into nengliu.energy_method values (7, 'children'), (8, 'children_usual');
create index point_parent on nengliu.point (parent_point_id) where parent_point_id is not null;

comment on column nengliu.dependency.level is
    '1 readings that change, 2 hours derived again for that, 3 hours derived again for those, 4 any of these hours of the point or of its children';

-- Totals are derived anew.
insert into nengliu.change (site_id, point_id, from_ts, to_ts)
select site_id, point_id, '-infinity', 'infinity'
from nengliu.point p
where exists (select from nengliu.point c where c.parent_point_id = p.point_id);
