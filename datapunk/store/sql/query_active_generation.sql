select projection.active_generation, checkpoint.position, checkpoint.version
from projections projection
left join checkpoints checkpoint
    on checkpoint.projection = projection.name and checkpoint.generation = projection.active_generation
where projection.name = %(projection)s
