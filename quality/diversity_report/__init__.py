"""The diversity report: interactive page, picture, metrics."""
