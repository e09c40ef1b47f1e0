select tenant, stream, version, type, id, schema, data, causation, metadata, position, at
from events
where position = any(%(positions)s)
order by position
