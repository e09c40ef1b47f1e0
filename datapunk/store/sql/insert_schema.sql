insert into schemas (fingerprint, name, version, text) values (%s, %s, %s, %s) on conflict do nothing
