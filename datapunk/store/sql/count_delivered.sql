update feeds set delivered = delivered + 1
where feed = %(feed)s and tenant = %(tenant)s and receiver = %(receiver)s
