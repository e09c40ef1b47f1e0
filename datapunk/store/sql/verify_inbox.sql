select 'command ' || inbox.id || ' (' || inbox.type || ', tenant ' || inbox.tenant || ')',
    count(event.id) || ' of its ' || (inbox.last_version - inbox.first_version + 1) || ' events are there: '
        || inbox.stream || ' versions ' || inbox.first_version || ' to ' || inbox.last_version
from inbox
left join events event
    on event.tenant = inbox.tenant and event.stream = inbox.stream
    and event.version between inbox.first_version and inbox.last_version and event.causation = inbox.id
where inbox.last_version is not null
group by inbox.id, inbox.tenant
having count(event.id) <> inbox.last_version - inbox.first_version + 1
order by inbox.id, inbox.tenant
