update projections set is_paused = %(is_paused)s where name = %(projection)s
