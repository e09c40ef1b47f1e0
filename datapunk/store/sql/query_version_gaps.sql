select tenant, stream, count(*), min(version), max(version)
from events
group by tenant, stream
having min(version) <> 1 or max(version) <> count(*)
order by tenant, stream
limit %(limit)s
