delete from members
where group_name = %(group)s and beat_at < now() - make_interval(secs => %(timeout_s)s)
