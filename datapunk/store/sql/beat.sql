update members set beat_at = now() where id = %(id)s
