delete from members where id = %(id)s
