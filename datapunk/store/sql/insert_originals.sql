insert into originals (id, queue, properties, body, digest)
select * from unnest(%(ids)b::uuid[], %(queues)b::text[], %(properties)b::bytea[], %(bodies)b::bytea[], %(digests)b::bytea[])
on conflict (id) do nothing
