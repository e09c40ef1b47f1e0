update checkpoints checkpoint
set position = %(reached)s, updated_at = now()
from (select name, active_generation from projections where name = %(projection)s for share) projection
where checkpoint.projection = projection.name and checkpoint.generation = %(generation)s
    and checkpoint.position = %(expected)s and checkpoint.generation >= projection.active_generation
