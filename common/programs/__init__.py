"""What the five programs of the toolkit are made of: typer, and what it does not do for them."""
