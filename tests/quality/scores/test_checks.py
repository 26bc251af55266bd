"""Wrong models are named before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from tests.texts import conversations

Write = Callable[..., Path]


def test_wrong_models_are_named_before_any_work(tmp_path: Path, write_jsonl: Write, tiny_model: Path) -> None:
    from raylib.errors import RecipeError

    def recipe(stage: dict[str, Any]) -> Recipe:
        source = write_jsonl([{"messages": c["messages"]} for c in conversations(3)])
        return Recipe.from_dict(
            {
                "input": {"path": str(source)},
                "output": {"path": str(tmp_path / "out")},
                "engine": {"mode": "inline"},
                "stages": [stage],
            }
        )

    for stage, words in (
        ({"ifd": {"model": "no/such/model"}}, "is not a folder"),
        ({"ifd": {"model": "Qwen/Qwen2.5-0.5B"}}, "hf download Qwen/Qwen2.5-0.5B"),
        ({"ifd": {"model": str(tmp_path)}}, "config.json"),
        ({"classify": {"model": "nothing"}}, "raylib classifier train"),
        ({"judge": {"model": "m", "base_url": ""}}, "OPENAI_BASE_URL"),
        (
            {"judge": {"model": "m", "base_url": "http://u:secret@h/v1"}},
            "base_url holds a URI with a user name and a password: .*key_env",
        ),
    ):
        with pytest.raises(RecipeError, match=words) as caught:
            run(recipe(stage))
        assert "secret" not in str(caught.value)
    with pytest.raises(RecipeError, match="modle"):
        recipe({"ifd": {"modle": str(tiny_model)}})
