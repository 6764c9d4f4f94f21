-- Messages without seq that Kafka has, by the broker's packet id: a redelivery of one counts nothing. One row a gateway,
-- session of the broker and topic, in order of the topic. See docs/decisions/redelivery.md.
create table nengliu.delivery (
    gateway text not null,
    session text not null,
    topic text not null,
    newest int not null,                  -- packet id of the newest of them
    marks bytea not null,                 -- of each: packet id (2 bytes) and digest (8 bytes), little-endian
    primary key (gateway, session, topic)
);
grant select, insert, update, delete on nengliu.delivery to nengliu_pipeline;
