select tenant, receiver, position, started_by from feeds where feed = %(feed)s
