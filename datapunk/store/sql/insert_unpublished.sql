-- Here the module may have fewer shards, or none yet; the first is always there.
insert into outbox (module, shard, owner, positions)
values (
    %(module)s, %(shard)s %% coalesce((select shards from modules where name = %(module)s), 1), %(owner)s, %(positions)s
)
