"""What every part of the toolkit uses: errors, the console, files, lines of CSV and YAML."""
