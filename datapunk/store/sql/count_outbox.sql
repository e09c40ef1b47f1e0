select coalesce(sum(cardinality(positions)), 0)::bigint
from outbox
where module = %(module)s and shard = any(%(shards)s) and at <= now() - make_interval(secs => %(older_than_s)s)
