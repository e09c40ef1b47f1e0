delete from inbox
where id in (select id from inbox where at < now() - %(older_than)s limit %(limit)s)
