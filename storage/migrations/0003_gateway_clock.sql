-- A gateway's clock offset: its own figure, or the median of sent minus receipt of its last live messages.
alter table nengliu.gateway
    add column recent_offsets_s float8[] not null default '{}',
    add column offset_is_own boolean not null default false;
comment on column nengliu.gateway.recent_offsets_s is 'sent_at minus receipt of the last 20 live messages, in s';
