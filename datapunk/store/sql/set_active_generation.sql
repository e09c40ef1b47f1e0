update projections set active_generation = %(generation)s, error = null, failed_at = null where name = %(projection)s
