select fingerprint, name, version, text from schemas order by fingerprint
