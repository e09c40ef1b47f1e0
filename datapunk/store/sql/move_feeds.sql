update feeds set position = moved.reached
from unnest(%(tenants)s::text[], %(receivers)s::text[], %(positions)s::bigint[], %(starts)s::bigint[], %(reached)s::bigint[])
    as moved (tenant, receiver, position, started_by, reached)
where feeds.feed = %(feed)s and feeds.tenant = moved.tenant and feeds.receiver = moved.receiver
    and feeds.position = moved.position and feeds.started_by = moved.started_by
