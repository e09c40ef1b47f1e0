select id, octet_length(body) from originals where id = any(%(ids)b::uuid[])
