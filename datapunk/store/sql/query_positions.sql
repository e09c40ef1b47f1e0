select tenant, stream, version, type, id, schema, data, causation, metadata, position, at
from events
where position = any(%(positions)s) and position between %(first)s and %(last)s
order by position
