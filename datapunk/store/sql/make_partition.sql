select make_partition(%s)
