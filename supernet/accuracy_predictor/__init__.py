"""Accuracy predictors: fitted to some measured subnets, they predict the accuracy of all others.

`fitting.fit_predictor` fits models to measured cells and orders them by their held-out errors;
`predictor_files` reads and writes predictors. Only the network of the OFA paper needs torch, and
only to be fitted.
"""
