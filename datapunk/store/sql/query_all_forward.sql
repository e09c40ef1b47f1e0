select tenant, stream, version, type, id, schema, data, causation, metadata, position, at
from events
where position > %(after)s and position <= %(safe)s and (%(types)s::text[] is null or type = any(%(types)s))
order by position
limit %(limit)s
