insert into modules (name, shards) values (%(name)s, %(shards)s)
on conflict (name) do update set shards = modules.shards
returning shards
