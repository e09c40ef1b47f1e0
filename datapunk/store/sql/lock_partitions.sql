-- Before any lock of the table, as `make_partitions` does.
select pg_advisory_xact_lock(-4452)
