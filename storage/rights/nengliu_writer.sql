-- What a writer needs: readings, rejects, ledger, what changed and offsets in; of the registry what it judges them by.
grant usage on schema nengliu to nengliu_writer;
grant select on nengliu.node, nengliu.retention, nengliu.registry_version, nengliu.site, nengliu.point, nengliu.installation to nengliu_writer;
grant select, insert on nengliu.series, nengliu.reading_version, nengliu.reject, nengliu.change,
    nengliu.silence_due to nengliu_writer;
grant select, insert, update on nengliu.reading, nengliu.ingest_ledger, nengliu.gateway, nengliu.outbox, nengliu.delivery,
    nengliu.stream_offset to nengliu_writer;
grant select, insert, delete on nengliu.outbox_gap to nengliu_writer;
grant insert on nengliu.stamp_doubt to nengliu_writer;
