update leases lease set owner = %(id)s, epoch = epoch + 1
where group_name = %(group)s and item = any(%(items)s)
    and (owner is null or owner = %(id)s or not exists (
        select from members
        where members.id = lease.owner and beat_at > now() - make_interval(secs => %(timeout_s)s)))
returning item, epoch
