from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.setup import token_sets


@pytest.fixture(scope="session")
def tokens(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Token folders by kind."""
    return token_sets(tmp_path_factory.mktemp("tokens"), tiny_model)
