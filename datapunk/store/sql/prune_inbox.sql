delete from inbox
where (id, tenant) in (select id, tenant from inbox where at < now() - %(older_than)s limit %(limit)s)
