select make_partitions()
