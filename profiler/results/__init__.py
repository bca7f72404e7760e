"""What a profile leaves: the journal of raw runs, the table, its meta file, and their analysis."""
