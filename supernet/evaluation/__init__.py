"""Top-1 accuracy of subnets, each with batch norm statistics of its own, and the tables of it."""
