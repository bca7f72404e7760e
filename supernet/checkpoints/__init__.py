"""Reading and writing weights: our own checkpoints, and the released ones of OFA and CompOFA."""
