update leases set owner = %(id)s, epoch = epoch + 1
where group_name = %(group)s and item = any(%(items)s) and (owner is null or owner = %(id)s)
returning item, epoch
