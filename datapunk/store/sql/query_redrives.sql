select redrive.original, redrive.attempt
from unnest(%(originals)b::uuid[], %(attempts)b::bigint[]) as asked (original, attempt)
join redrives redrive on redrive.original = asked.original and redrive.attempt = asked.attempt
