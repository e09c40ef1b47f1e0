select id, tenant, key, sealed from secrets where key <> %(key)s and id > %(after)s order by id limit %(limit)s for update
