select difference.line::jsonb
from (
    select to_jsonb(row)::text as line from {one} as row
    except all
    select to_jsonb(row)::text from {other} as row
) as difference
order by difference.line
limit %(limit)s
