select generation, assigned from faust_rabbitmq.groups where name = %(group)s for update
