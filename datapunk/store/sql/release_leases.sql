update leases set owner = null where group_name = %(group)s and owner = %(id)s and item = any(%(items)s)
