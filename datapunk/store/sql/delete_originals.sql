delete from originals where id = any(%(ids)b::uuid[])
