"""Models that scores use: classifiers, n-grams, language models, endpoints."""
