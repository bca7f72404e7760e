"""Writers from a subnet's graph and weights straight to model files, without tracing."""
