"""Fixtures of the training tests: a tokenizer, and token folders by kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.raylib.chat.jinja import QWEN3
from tests.raylib.chat.planted import tiny_tokenizer
from tests.training.setup import token_sets
from training.data.tokenizer import Tokenizer, saved_tokenizer


@pytest.fixture(scope="session")
def tokens(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Token folders by kind."""
    return token_sets(tmp_path_factory.mktemp("tokens"), tiny_model)


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Tokenizer:
    """The tokenizer of the tiny model; tests do not change it."""
    return saved_tokenizer(tiny_model)


@pytest.fixture(scope="session")
def rewriting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer whose template takes reasoning out of earlier turns and knows tools."""
    folder = tmp_path_factory.mktemp("rewriting") / "tokenizer"
    tiny_tokenizer(QWEN3).save_pretrained(folder)
    return folder
