-- Only those that belong to an event: one of an actor that isn't there would never be reached.
select tenant, stream, version, state_version, state
from snapshots
where exists (
    select from events
    where events.tenant = snapshots.tenant and events.stream = snapshots.stream and events.version = snapshots.version
)
order by tenant, stream
