insert into checkpoints (projection, generation, version) values (%(projection)s, %(generation)s, %(version)s)
