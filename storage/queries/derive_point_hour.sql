-- Hours of points that came out differently: they get a new revision.
insert into nengliu.point_hour
    (point_id, hour, consumption, estimated, covered_s, installed_s, method, revision)
select point_id, hour, consumption, estimated, covered_s, installed_s, method, nextval('nengliu.energy_revision')
from unnest(%(point_id)s::int4[], %(hour)s::timestamptz[], %(consumption)s::float8[], %(estimated)s::float8[],
            %(covered_s)s::float8[], %(installed_s)s::float8[], %(method)s::int2[])
    f (point_id, hour, consumption, estimated, covered_s, installed_s, method)
on conflict (point_id, hour) do update
set consumption = excluded.consumption, estimated = excluded.estimated,
    covered_s = excluded.covered_s, installed_s = excluded.installed_s, method = excluded.method,
    revision = excluded.revision
