select tenant, stream, version, type, id, schema, data, causation, metadata, position, at
from (
    select event.*,
        sum(octet_length(event.data)) over (order by event.stream, event.tenant, event.version)
            - octet_length(event.data) as bytes_before
    from unnest(%(tenants)s::text[], %(streams)s::text[], %(versions)s::bigint[]) as wanted (tenant, stream, version)
    join events event
        on event.tenant = wanted.tenant and event.stream = wanted.stream and event.version >= wanted.version
) as measured
where bytes_before < %(bytes)s
order by stream, tenant, version
