select event.tenant, event.stream, event.version, event.type, event.id, event.schema, event.data,
    event.causation, event.metadata, event.position, event.at
from inbox
join events event
    on event.tenant = inbox.tenant and event.stream = inbox.stream
    and event.version between inbox.first_version and inbox.last_version
where inbox.id = %(id)s and inbox.tenant = %(tenant)s
order by event.version
