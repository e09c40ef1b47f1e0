-- A sum, so that the order of rows doesn't matter; two of them, so that 128 bits would have to be the same by chance.
select count(*),
    concat(coalesce(sum(hashtextextended(to_jsonb(row)::text, 1)), 0), '/',
        coalesce(sum(hashtextextended(to_jsonb(row)::text, 2)), 0))
from {table} as row
