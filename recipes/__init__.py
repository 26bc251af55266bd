"""Ready recipes, chains by source and lexicons; data files of the `raylib` distribution."""
