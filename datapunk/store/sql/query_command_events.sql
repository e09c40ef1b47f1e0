select event.tenant, event.stream, event.version, event.type, event.id, event.schema, event.data,
    event.causation, event.metadata, event.position, event.at
from inbox
join streams head on head.tenant = inbox.tenant and head.stream = inbox.stream
cross join lateral (
    select * from events
    where events.tenant = inbox.tenant and events.stream = inbox.stream
        and events.version between inbox.first_version and inbox.last_version
        and events.position between head.first_position and head.last_position
    offset 0
) event
where inbox.id = %(id)s and inbox.tenant = %(tenant)s
order by event.version
