update followers set position = %(position)s, moved_at = now()
where name = %(name)s and position < %(position)s
