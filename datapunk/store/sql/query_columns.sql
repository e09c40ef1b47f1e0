select attname || ' ' || format_type(atttypid, atttypmod)
from pg_attribute
join pg_class on pg_class.oid = attrelid
where relnamespace = (select oid from pg_namespace where nspname = %(schema)s) and relname = %(table)s
    and attnum > 0 and not attisdropped
order by attnum
