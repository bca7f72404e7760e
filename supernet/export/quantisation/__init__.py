"""int8 models: the images that ranges come from, and the libraries that quantise."""
