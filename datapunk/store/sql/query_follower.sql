select position from followers where name = %(name)s
