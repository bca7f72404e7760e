"""Sources of accuracies: tables, predictors, and the table that ships with this package."""
