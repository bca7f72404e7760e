"""Several devices measured at once, by processes of this computer or by a Ray cluster."""
