"""Where accuracies come from: tables, predictors, and the file that this package ships."""
