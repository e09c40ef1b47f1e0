select coalesce(max(position), 0) from events where at <= %(at)s
