select id, tenant, key, sealed from secrets where key <> %(key)s order by id limit %(limit)s for update
