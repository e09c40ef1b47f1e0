select id from members where group_name = %(group)s
