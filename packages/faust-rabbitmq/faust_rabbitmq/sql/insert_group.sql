insert into faust_rabbitmq.groups (name) values (%(group)s) on conflict do nothing
