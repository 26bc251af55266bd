"""Embeddings, clusters, diversity metrics, t-SNE."""
