select coalesce(head.stream, found.stream) || ' (tenant ' || coalesce(head.tenant, found.tenant) || ')',
    format('its head says version %s at position %s, first position %s; '
        'its events say version %s at position %s, first position %s', head.version, head.last_position, head.first_position,
        found.version, found.last_position, found.first_position)
from streams head
full join (
    select tenant, stream, max(version) as version, min(position) as first_position, max(position) as last_position
    from events
    group by tenant, stream
) found using (tenant, stream)
where (head.version, head.first_position, head.last_position)
    is distinct from (found.version, found.first_position, found.last_position)
order by 1
