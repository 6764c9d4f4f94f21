-- Notifications that were delivered long ago may go, where NENGLIU_NOTIFICATIONS_KEEP_YEARS says so.
grant delete on nengliu.notification to nengliu_pipeline;
