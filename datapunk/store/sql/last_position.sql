select coalesce(pg_sequence_last_value('event_positions'::regclass), 0)
