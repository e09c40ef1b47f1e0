select is_paused from projections where name = %(projection)s
