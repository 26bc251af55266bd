"""Files to tables: finding inputs, opening them, parsing records of a kind."""
