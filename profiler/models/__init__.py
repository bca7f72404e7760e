"""Model files for devices: made from cells, kept in a store, and made ahead of their use."""
