-- What a day's assessment rests on: the newest revision of energy, and of the registry with its quotas.
select coalesce(pg_sequence_last_value('nengliu.energy_revision'::regclass), 0) as energy,
       (select coalesce(max(version), 0) from nengliu.registry_version) as registry
