"""The flights that left New York City in 2013, with weather, planes, airports and airlines, through Lake."""
