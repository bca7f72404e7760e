"""The files of a training, from which it can be continued."""
