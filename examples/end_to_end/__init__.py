"""The whole way, from raw text to an aligned model."""
