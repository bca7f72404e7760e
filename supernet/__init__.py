"""Search spaces, subnets as graphs, the supernet that holds their weights, and model files."""
