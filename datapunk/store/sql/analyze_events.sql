-- By itself Postgres does it for the parts of a table, not for the whole.
analyze events
