select shards from modules where name = %(name)s
