select pg_try_advisory_lock(hashtextextended('datapunk rebuild ' || %(projection)s, 0))
