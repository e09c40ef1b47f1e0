select tenant, stream, version, type, id, schema, data, causation, metadata, position, at
from events
where tenant = %(tenant)s and stream = %(stream)s and version >= %(from_version)s
    and position >= (select first_position from streams where tenant = %(tenant)s and stream = %(stream)s)
    and position <= (select last_position from streams where tenant = %(tenant)s and stream = %(stream)s)
order by version
limit %(limit)s
