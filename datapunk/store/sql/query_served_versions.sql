select projection.name, checkpoint.version
from projections projection
join checkpoints checkpoint
    on checkpoint.projection = projection.name and checkpoint.generation = projection.active_generation
where projection.name = any(%(projections)s)
