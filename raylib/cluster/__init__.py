"""Ray clusters: joining one, starting a local one, metrics."""
