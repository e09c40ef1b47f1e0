select id, queue, properties, body from originals where id = any(%(ids)b::uuid[])
