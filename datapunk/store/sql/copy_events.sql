copy events (position, tenant, stream, version, type, id, schema, data, causation, metadata, at)
from stdin (format binary)
