with released as (update leases set owner = null where group_name = %(group)s and owner = %(id)s)
delete from members where id = %(id)s
