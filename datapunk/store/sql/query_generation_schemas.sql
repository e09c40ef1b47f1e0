-- Those beside the serving one: <schema>_old, and <schema>_g<number>.
select nspname from pg_namespace
where starts_with(nspname, %(schema)s || '_') and substr(nspname, length(%(schema)s) + 2) ~ '^(old|g[0-9]+)$'
