with input as materialized (
    select * from unnest(
        %(tenants)b::text[], %(streams)b::text[], %(versions)b::bigint[], %(types)b::text[], %(ids)b::uuid[],
        %(schemas)b::text[], %(data)b::bytea[], %(causations)b::uuid[], %(metadata)b::text[], %(shards)b::bigint[]
    ) as event (tenant, stream, version, type, id, schema, data, causation, metadata, shard)
),
appended as (
    insert into events (tenant, stream, version, type, id, schema, data, causation, metadata)
    select tenant, stream, version, type, id, schema, data, causation, metadata::jsonb from input
    returning position, tenant, stream, version, at
),
boxed as (
    insert into outbox (module, shard, owner, positions)
    select %(module)b::text, input.shard, %(owner)b::uuid, array_agg(appended.position order by appended.position)
    from appended join input using (tenant, stream, version)
    group by input.shard
    returning id
)
select array_agg(position order by position), (select array_agg(id) from boxed), min(at) from appended
