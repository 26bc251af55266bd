"""Fixtures of the inference tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.training.inference.chat_server import ChatServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A running server."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    made = ChatServer()
    yield made
    made.close()
