-- What is known of the messages that broker sessions delivered, the rows locked.
select d.gateway, d.session, d.topic, d.newest, d.marks
from nengliu.delivery d
join unnest(%(gateway)s::text[], %(session)s::text[], %(topic)s::text[]) as u (gateway, session, topic)
    on d.gateway = u.gateway and d.session = u.session and d.topic = u.topic
order by d.gateway, d.session, d.topic
for update of d
