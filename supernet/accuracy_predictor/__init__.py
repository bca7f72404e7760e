"""Accuracy predictors: fitted to measured subnets, they know the accuracy of all of a space.

`fitting.fit_predictor` fits the models to measured cells and chooses by held-out error; `files`
reads and writes predictors. Only fitting the network of the paper needs torch.
"""
