select pg_advisory_unlock(hashtextextended('datapunk rebuild ' || %(projection)s, 0))
