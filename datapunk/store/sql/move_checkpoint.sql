update checkpoints checkpoint
set position = %(reached)s, updated_at = now()
from (select active_generation, is_paused from projections where name = %(projection)s for share) projection
where checkpoint.projection = %(projection)s and checkpoint.generation = %(generation)s
    and checkpoint.position = %(expected)s
    and (checkpoint.generation > projection.active_generation
        or checkpoint.generation = projection.active_generation and not projection.is_paused)
