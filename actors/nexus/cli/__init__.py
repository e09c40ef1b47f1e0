"""`datapunk dlq`: dead letters at the command line."""
