select id, key, sealed from secrets where tenant = %(tenant)s and id = any(%(ids)s)
