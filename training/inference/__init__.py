"""Using trained models: generation, evaluation, preference pairs."""
