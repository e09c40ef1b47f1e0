delete from secrets where tenant = %(tenant)s and id = %(id)s
