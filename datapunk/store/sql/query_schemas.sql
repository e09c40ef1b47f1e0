select fingerprint, name, version, text from schemas where name = any(%(names)s)
