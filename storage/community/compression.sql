-- The community edition: readings older than 90 days are compressed, by series, in order of time. Says the same however
-- often it is run. Late and corrected readings are written into compressed chunks as into any other; a transaction may
-- unpack as much as it needs for that (the server's own bound is 100,000 rows).
do $$ begin
    if not (select h.compression_enabled from timescaledb_information.hypertables h
            where h.hypertable_schema = 'nengliu' and h.hypertable_name = 'reading') then
        alter table nengliu.reading set (timescaledb.compress, timescaledb.compress_segmentby = 'series_id',
                                         timescaledb.compress_orderby = 'ts');
    end if;
    if not exists (select from timescaledb_information.jobs j
                   where j.hypertable_schema = 'nengliu' and j.hypertable_name = 'reading'
                     and j.proc_name = 'policy_compression') then
        perform public.add_compression_policy('nengliu.reading', interval '90 days', if_not_exists => true);
    end if;
    execute format('alter database %I set timescaledb.max_tuples_decompressed_per_dml_transaction = 0', current_database());
end $$;
