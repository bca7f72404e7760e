"""Labelled images: data sets, their splits, and batches of tensors.

`open_data(path)` recognises the data set, `split_data` splits it into training, held-out and test
images, and `Loading` turns these parts into tensors.
"""
