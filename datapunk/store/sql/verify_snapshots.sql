select 'snapshot of ' || stream || ' version ' || version || ' (tenant ' || tenant || ')', 'there is no such event'
from snapshots
where not exists (
    select from events
    where events.tenant = snapshots.tenant and events.stream = snapshots.stream and events.version = snapshots.version
)
order by tenant, stream
