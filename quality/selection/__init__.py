"""Choosing records by their columns: cuts, selection, mixtures, phases."""
