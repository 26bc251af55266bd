"""The folder of a run: atomic files, the manifest, writers."""
