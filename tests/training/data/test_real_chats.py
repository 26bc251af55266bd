"""Real sets of chats with real templates and the real tokenizer: almost every record that has an answer is learnt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from raylib.chat import Renderer
from tests.training.data.chat_sets import CONVERSATIONS, PREFERENCES, TEMPLATES, chat_model, measured
from training.data.tokenizer import saved_tokenizer

SETS = (*CONVERSATIONS, *PREFERENCES)
MOST_LOST = 0.005  # of the records that have an answer
pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def renderer(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Renderer]:
    """Renderers by the name of their template."""
    made: dict[str, Renderer] = {}

    def of(template: str) -> Renderer:
        if template not in made:
            folder = chat_model(real_data, template, tmp_path_factory.mktemp("models") / template)
            made[template] = Renderer(saved_tokenizer(folder))
        return made[template]

    return of


def expect_almost_all(data: Path, name: str, renderer: Renderer, limit: int) -> None:
    found = measured(data, name, renderer, limit)
    answered = found.records - found.empty
    assert answered > 0, found
    assert sum(found.lost.values()) <= MOST_LOST * answered or sum(found.lost.values()) <= 2, found
    assert found.refused.keys() == found.details.keys()
    assert all(detail.partition(": ")[2] for detail in found.details.values()), "a reason without words"
    assert found.samples >= answered - sum(found.lost.values())


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("name", SETS)
def test_a_part_of_a_set_is_learnt(
    name: str, template: str, real_data: Path, renderer: Callable[[str], Renderer]
) -> None:
    expect_almost_all(real_data, name, renderer(template), 300)


@pytest.mark.long
@pytest.mark.parametrize("name", SETS)
def test_a_whole_set_is_learnt(name: str, real_data: Path, renderer: Callable[[str], Renderer]) -> None:
    expect_almost_all(real_data, name, renderer("Qwen3"), 0)
