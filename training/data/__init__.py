"""Records to tokens to batches."""
