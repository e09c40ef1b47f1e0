update feeds set dead = dead + 1
where feed = %(feed)s and tenant = %(tenant)s and receiver = %(receiver)s
