select from projections where name = %(projection)s for update
