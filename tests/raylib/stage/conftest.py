"""Fixtures of the stage contract's tests."""

from __future__ import annotations

import pytest

from raylib.stage import registry, stage_names


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry for one test, filled with everything that is installed."""
    stage_names()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
