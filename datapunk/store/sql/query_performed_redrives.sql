select original, attempt from redrives where not is_settled and is_performed order by published_at limit %(limit)s
