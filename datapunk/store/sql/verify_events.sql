-- In the order of the index of streams: no sorting, however many there are.
select tenant, stream, version, type, id, schema, data, causation, metadata, position, at
from events
order by tenant, stream, version
