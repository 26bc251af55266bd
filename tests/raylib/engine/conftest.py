"""An input and a recipe for runs that are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from tests.raylib.engine.large_input import STAGES, content, make_input


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """An input of 30 MB, a recipe, and the output of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("kill")
    make_input(folder / "in.jsonl", 30_000)
    (folder / "recipe.yaml").write_text(
        f"input: {{path: {folder}/in.jsonl}}\noutput: {{path: {folder}/out}}\n"
        f"engine: {{actors: 2, batch_mb: 0.8, work_while_starting: 0}}\nstages:{STAGES}"
    )
    reference = Recipe.from_file(
        folder / "recipe.yaml", {"output.path": f"{folder}/reference", "engine.mode": "inline"}
    )
    run(reference)
    return folder, content(folder / "reference")
