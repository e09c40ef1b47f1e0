select id, digest from originals where id = any(%(ids)b::uuid[])
