"""What model files cost by their descriptions: multiply-accumulates, parameters, bytes."""
