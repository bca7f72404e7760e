"""compofa-profile layers: its options and what it says."""
