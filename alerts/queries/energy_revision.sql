select pg_sequence_last_value('nengliu.energy_revision'::regclass)
