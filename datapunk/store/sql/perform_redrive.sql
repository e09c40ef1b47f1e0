update redrives set is_performed = true where original = %(original)s and attempt = %(attempt)s
