select setval('event_positions', greatest((select max(position) from events), pg_sequence_last_value('event_positions'::regclass)))
where exists (select from events)
