select array_agg(projection.active_generation order by projection.name), min(checkpoint.position)
from projections projection
join checkpoints checkpoint
    on checkpoint.projection = projection.name and checkpoint.generation = projection.active_generation
where projection.name = any(%(projections)s)
having count(*) = cardinality(%(projections)s)
