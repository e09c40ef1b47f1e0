-- Heads are moved in one order, so that no two writers wait for each other; a head that isn't where the batch begins
-- fails all of it. A stream's positions ascend, whatever a writer knew.
with input as materialized (
    select nextval('event_positions') as position, event.* from unnest(
        %(tenants)b::text[], %(streams)b::text[], %(versions)b::bigint[], %(types)b::text[], %(ids)b::uuid[],
        %(schemas)b::text[], %(data)b::bytea[], %(causations)b::uuid[], %(metadata)b::text[], %(shards)b::bigint[]
    ) as event (tenant, stream, version, type, id, schema, data, causation, metadata, shard)
),
ends as materialized (
    select tenant, stream, max(version) as version, count(*) as events, min(position) as first, max(position) as last
    from input
    group by tenant, stream
),
moved as (
    insert into streams as head (tenant, stream, version, first_position, last_position)
    select tenant, stream, version, first, last from ends order by tenant, stream
    on conflict (tenant, stream) do update set version = excluded.version, last_position = excluded.last_position
    where head.last_position < excluded.first_position
    returning new.tenant, new.stream, new.version - coalesce(old.version, 0) as events
),
conflicts as (
    select string_agg(
        format('%%s (tenant %%s) isn''t at version %%s', stream, tenant, ends.version - ends.events), ', '
        order by tenant, stream) as found
    from ends left join moved using (tenant, stream)
    where moved.events is distinct from ends.events
),
appended as (
    insert into events (position, tenant, stream, version, type, id, schema, data, causation, metadata)
    select position, tenant, stream, version, type, id, schema, data, causation, metadata::jsonb from input
    where (select found is null or refuse_append(found) from conflicts)
    returning position, at
),
boxed as (
    insert into outbox (module, shard, owner, positions)
    select %(module)b::text, shard, %(owner)b::uuid, array_agg(position order by position)
    from input
    group by shard
    returning id
)
select array_agg(position order by position), (select array_agg(id) from boxed), min(at) from appended
