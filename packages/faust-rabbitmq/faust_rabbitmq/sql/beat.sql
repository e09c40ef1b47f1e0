with me as (
    update faust_rabbitmq.members set seen_at = clock_timestamp()
    where group_name = %(group)s and member = %(member)s
    returning ready, partitions, assignment
)
select g.generation, g.assigned, me.ready, me.partitions, me.assignment
from faust_rabbitmq.groups g, me
where g.name = %(group)s
