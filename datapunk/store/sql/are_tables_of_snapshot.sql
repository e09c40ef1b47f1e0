-- Names are looked up in the present, rows in the transaction's snapshot: false once a rebuild has come between.
select every(
    (select oid from pg_namespace where nspname = schema) is not distinct from to_regnamespace(schema)::oid)
from unnest(%(schemas)s::text[]) as wanted (schema)
