"""Labelled images: where they come from, how they are split, and how batches are made of them.

`open_data(path)` recognises the data set, `split_data` parts it into training, held-out and test
images once and for all, `Loading` turns parts into tensors.
"""
