select fence(%(group)s::text, %(owner)s::uuid, %(items)s::text[], %(epochs)s::bigint[])
