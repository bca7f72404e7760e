"""The five programs of the toolkit are typer applications; this adds what typer lacks for them."""
