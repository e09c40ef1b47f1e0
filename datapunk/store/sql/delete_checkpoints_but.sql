delete from checkpoints where projection = %(projection)s and generation <> %(generation)s
