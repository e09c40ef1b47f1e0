update feeds set failed = failed + 1, last_failure = %(failure)s, last_failure_at = now()
where feed = %(feed)s and tenant = %(tenant)s and receiver = %(receiver)s
