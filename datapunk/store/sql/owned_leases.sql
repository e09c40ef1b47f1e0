select item from leases where group_name = %(group)s and owner = %(id)s
