delete from faust_rabbitmq.members m
using faust_rabbitmq.groups g
where m.group_name = %(group)s
  and g.name = m.group_name
  and m.member <> %(member)s
  and (
      m.seen_at < clock_timestamp() - make_interval(secs => %(lease_s)s)
      or (m.ready < g.generation and g.changed_at < clock_timestamp() - make_interval(secs => %(rebalance_s)s))
  )
returning m.member
