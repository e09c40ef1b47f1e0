select pg_advisory_xact_lock(hashtextextended('faust_rabbitmq', 0))
