select inbox.id, inbox.tenant, inbox.type, inbox.stream, inbox.body_hash, inbox.reply, inbox.first_version,
    inbox.last_version, coalesce(event.position, 0), inbox.at
from inbox
left join events event
    on event.tenant = inbox.tenant and event.stream = inbox.stream and event.version = inbox.last_version
where inbox.id = any(%(ids)s)
