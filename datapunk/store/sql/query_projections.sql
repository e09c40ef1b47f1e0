select projection.name, projection.module, projection.active_generation, projection.is_paused, projection.error,
    projection.failed_at, checkpoint.version, checkpoint.position, checkpoint.updated_at,
    (select max(building.position) from checkpoints building
        where building.projection = projection.name and building.generation > projection.active_generation
    ) as building_position,
    (select extract(epoch from now() - member.beat_at)::float8
        from leases lease join members member on member.id = lease.owner
        where lease.group_name = projection.module || '.projections' and lease.item = projection.name
    ) as owner_silent_s
from projections projection
left join checkpoints checkpoint
    on checkpoint.projection = projection.name and checkpoint.generation = projection.active_generation
order by projection.name
