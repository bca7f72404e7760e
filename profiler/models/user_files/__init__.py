"""Model files of the user's own: what they take and compute, told without running them."""
