update projections
set error = %(error)s, failed_at = case when %(error)s::text is null then null else now() end
where name = %(projection)s
