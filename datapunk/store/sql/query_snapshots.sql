select tenant, stream, version, state_version, state
from snapshots
where (tenant, stream) in (select * from unnest(%(tenants)s::text[], %(streams)s::text[]))
