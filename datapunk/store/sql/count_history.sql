select (select count(*) from events), (select count(*) from inbox)
