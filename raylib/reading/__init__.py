"""Files to tables: find inputs, open them, parse records of a kind."""
