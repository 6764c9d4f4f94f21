-- What a worker needs: everything to read, and what it derives, assesses and tells to write. Never what came in.
grant usage on schema nengliu to nengliu_worker;
grant select on all tables in schema nengliu to nengliu_worker;
grant insert, update, delete on nengliu.change, nengliu.point_hour, nengliu.site_hour, nengliu.point_period,
    nengliu.site_period, nengliu.point_day_open, nengliu.site_day_open, nengliu.assessment_due,
    nengliu.reading_doubt, nengliu.dependency, nengliu.silent_step, nengliu.silence_due to nengliu_worker;
grant update, delete on nengliu.stamp_doubt to nengliu_worker;
grant select, delete on nengliu.level_due to nengliu_worker;
grant insert, update on nengliu.alert, nengliu.finding, nengliu.event_outbox to nengliu_worker;
grant insert on nengliu.quota_assessment, nengliu.quota_limit, nengliu.alert_transition to nengliu_worker;
grant update (superseded_at) on nengliu.quota_limit to nengliu_worker;
grant update on nengliu.assessment_cursor, nengliu.removal_look to nengliu_worker;
-- Only so that it can lock the row of a site: foreign keys hold the value fast.
grant update (site_id) on nengliu.site to nengliu_worker;
grant usage, select on sequence nengliu.energy_revision to nengliu_worker;
-- How long readings are kept: the floor, and the function that drops what lies before it and nothing else.
grant update on nengliu.retention to nengliu_worker;
grant execute on function nengliu.drop_readings() to nengliu_worker;
-- Who is told what, and what links are signed with; contacts themselves stay the registry's.
grant insert, update, delete on nengliu.notification to nengliu_worker;
grant insert on nengliu.notification_secret to nengliu_worker;
-- What a notification's chart and page show.
grant usage on schema api to nengliu_worker;
grant select on api.site, api.quota, api.site_energy_day, api.quota_assessment, api.alert, api.ingest_ledger
    to nengliu_worker;
