update members set beat_at = now()
where id = %(id)s and beat_at > now() - make_interval(secs => %(timeout_s)s)
