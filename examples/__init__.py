"""Examples, and the scripts that make their data."""
