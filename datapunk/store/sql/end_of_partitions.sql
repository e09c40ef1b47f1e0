select end_of_partitions()
