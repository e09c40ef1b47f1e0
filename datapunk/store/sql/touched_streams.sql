select distinct tenant, stream, type
from events
where position > %(after)s and position <= %(until)s and type = any(%(types)s)
