select relname
from pg_class
where relnamespace = (select oid from pg_namespace where nspname = %(schema)s)
    and relkind in ('r', 'p') and not relispartition
