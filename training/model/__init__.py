"""Models, and the backends that train them."""
