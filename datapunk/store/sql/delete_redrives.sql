delete from redrives where original = any(%(ids)b::uuid[])
