update secrets set key = %(key)s, sealed = %(sealed)s where id = %(id)s
