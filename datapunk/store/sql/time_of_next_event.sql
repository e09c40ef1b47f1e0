select at from events where position > %(position)s order by position limit 1
