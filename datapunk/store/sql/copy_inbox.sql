copy inbox (id, tenant, type, stream, body_hash, reply, first_version, last_version, at)
from stdin (format binary)
