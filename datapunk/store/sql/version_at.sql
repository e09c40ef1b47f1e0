select coalesce(max(version), 0)
from events
where tenant = %(tenant)s and stream = %(stream)s and at <= %(at)s
    and position >= (select first_position from streams where tenant = %(tenant)s and stream = %(stream)s)
    and position <= (select last_position from streams where tenant = %(tenant)s and stream = %(stream)s)
