-- The newest revision of energy, which an assessment rests on.
select coalesce(pg_sequence_last_value('nengliu.energy_revision'::regclass), 0)
