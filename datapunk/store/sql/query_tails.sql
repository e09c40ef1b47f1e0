select event.tenant, event.stream, event.version, event.type, event.id, event.schema, event.data,
    event.causation, event.metadata, event.position, event.at
from unnest(%(tenants)s::text[], %(streams)s::text[], %(versions)s::bigint[]) as wanted (tenant, stream, version)
join events event
    on event.tenant = wanted.tenant and event.stream = wanted.stream and event.version >= wanted.version
order by event.stream, event.version
