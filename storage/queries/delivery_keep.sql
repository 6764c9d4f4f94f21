insert into nengliu.delivery (gateway, session, topic, newest, marks)
select gateway, session, topic, newest, marks
from unnest(%(gateway)s::text[], %(session)s::text[], %(topic)s::text[], %(newest)s::int4[], %(marks)s::bytea[])
    as u (gateway, session, topic, newest, marks)
order by gateway, session, topic
on conflict (gateway, session, topic) do update set newest = excluded.newest, marks = excluded.marks
