select coalesce(max(version), 0) from events where tenant = %(tenant)s and stream = %(stream)s and at <= %(at)s
