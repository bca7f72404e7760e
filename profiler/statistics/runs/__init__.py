"""What the runs of one session say: when they are warm, which speeds they have, one number."""
