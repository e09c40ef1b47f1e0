update redrives set is_settled = true
from unnest(%(originals)b::uuid[], %(attempts)b::bigint[]) as known (original, attempt)
where redrives.original = known.original and redrives.attempt = known.attempt and not is_settled
