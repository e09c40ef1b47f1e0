insert into secrets (id, tenant, key, sealed) values (%(id)s, %(tenant)s, %(key)s, %(sealed)s)
