"""Models of integers: the images that ranges come from, and the libraries that quantise."""
