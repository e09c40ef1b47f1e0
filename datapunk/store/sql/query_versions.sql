-- The positions of some events, each looked up for itself between its stream's first and last.
select event.tenant, event.stream, event.version, event.position
from unnest(%(tenants)b::text[], %(streams)b::text[], %(versions)b::bigint[]) as asked (tenant, stream, version)
join streams head on head.tenant = asked.tenant and head.stream = asked.stream
cross join lateral (
    select * from events
    where events.tenant = asked.tenant and events.stream = asked.stream and events.version = asked.version
        and events.position between head.first_position and head.last_position
    offset 0
) event
