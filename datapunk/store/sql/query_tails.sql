-- Each actor's events come from the index on their own, so that a page costs what it holds, however long the history:
-- versions have no gaps, and the bound keeps the planner from reading the whole tail to sort it for the limit. Only
-- partitions between an actor's snapshot, or its first event, and its last are looked into.
select number - 1, type, schema, data
from (
    select wanted.number, event.*,
        sum(octet_length(event.data)) over (order by wanted.number, event.version)
            - octet_length(event.data) as bytes_before
    from unnest(%(tenants)s::text[], %(streams)s::text[], %(versions)s::bigint[])
        with ordinality as wanted (tenant, stream, version, number)
    cross join lateral (
        select * from streams
        where tenant = wanted.tenant and stream = wanted.stream and streams.version >= wanted.version
        limit 1
    ) as head
    left join lateral (
        select * from snapshots
        where tenant = wanted.tenant and stream = wanted.stream and snapshots.version < wanted.version
        limit 1
    ) as snapshot on true
    cross join lateral (
        select * from events
        where tenant = wanted.tenant and stream = wanted.stream and version >= wanted.version
            and version < wanted.version + %(of_each)s
            and events.position >= greatest(head.first_position, snapshot.position)
            and events.position <= head.last_position
        order by version
        limit %(of_each)s
    ) as event
) as measured
where bytes_before < %(bytes)s
order by number, version
