-- Notifications that were delivered long ago may go, where NENGLIU_NOTIFICATIONS_KEEP_YEARS says so.
grant delete on nengliu.notification to nengliu_pipeline;

-- How many are on their way to an address is asked for each that may be sent next.
create index on nengliu.notification (channel, address) where lease_until is not null;
