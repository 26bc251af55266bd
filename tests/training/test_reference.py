"""The generated reference."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_type_hints

import pytest

from training.config import (
    DataConfig,
    DpoConfig,
    ModelConfig,
    OptimizerConfig,
    ParallelConfig,
    PhaseConfig,
    SourceConfig,
    TrainConfig,
)
from training.reference import json_schema, training_markdown

SECTIONS = (
    TrainConfig,
    ModelConfig,
    DataConfig,
    SourceConfig,
    OptimizerConfig,
    DpoConfig,
    ParallelConfig,
    PhaseConfig,
)


def test_the_reference_is_up_to_date() -> None:
    held = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
    assert held == training_markdown(), "run python -m training.reference"
    assert "|  |" not in held, "every field says what it is"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_option_says_what_it_is_in_whole_sentences(section: type) -> None:
    for name, info in section.__pydantic_fields__.items():  # type: ignore[attr-defined] # pydantic sets it
        assert re.fullmatch(r"[A-Z0-9`].*[.)]", info.description or ""), name


def test_the_schema_holds_every_option_with_its_description() -> None:
    schema = json_schema()
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == set(get_type_hints(TrainConfig))
    assert all("description" in option for option in properties.values())
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    assert definitions["DpoConfig"]["properties"]["beta"]["exclusiveMinimum"] == 0
