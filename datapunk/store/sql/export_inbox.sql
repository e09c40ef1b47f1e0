-- The commands whose events are exported; those without events only along with the whole history.
select inbox.id, inbox.tenant, inbox.type, inbox.stream, inbox.body_hash, inbox.reply, inbox.first_version,
    inbox.last_version, coalesce(event.position, 0), inbox.at
from inbox
left join events event
    on event.tenant = inbox.tenant and event.stream = inbox.stream and event.version = inbox.last_version
where case when inbox.last_version is null then %(is_whole)s
        else event.position > %(after)s and event.position <= %(until)s end
    and (%(module)s::text is null or starts_with(inbox.stream, %(module)s || '.'))
    and (%(tenant)s::text is null or inbox.tenant = %(tenant)s)
    and (%(streams)s::text[] is null or inbox.stream = any(%(streams)s))
order by inbox.id, inbox.tenant
