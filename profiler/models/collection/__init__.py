"""Collections of the user's model files: what is in them, and how a device is given them."""
