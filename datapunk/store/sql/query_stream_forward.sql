select tenant, stream, version, type, id, schema, data, causation, metadata, position, at
from events
where tenant = %(tenant)s and stream = %(stream)s and version >= %(from_version)s
order by version
limit %(limit)s
