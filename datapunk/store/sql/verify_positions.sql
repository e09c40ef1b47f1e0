select 'position ' || position, count(*) || ' events have it: ' || string_agg(stream || ' version ' || version, ', ')
from events
group by position
having count(*) > 1
order by position
