select count(*) from outbox where positions && %(positions)s::bigint[]
