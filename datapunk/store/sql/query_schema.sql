select text from schemas where fingerprint = %(fingerprint)s
