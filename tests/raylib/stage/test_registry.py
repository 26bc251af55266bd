"""Recipe names of stages: registered by a decorator, found again, and refused when taken."""

from __future__ import annotations

from dataclasses import MISSING, dataclass

import pyarrow as pa
import pytest

from raylib.stage import LocalStage, Outcome, StageInfo, keep_all, register, stage, stage_info, stage_names


@dataclass(frozen=True)
class Shorten(LocalStage):
    """Cut texts to a length.

    Nothing is rejected.

    Attributes:
        length: Number of characters that stay,
            counted from the start.
        mark: Text to append.
    """

    length: int
    mark: str = "…"

    def __call__(self, table: pa.Table) -> Outcome:
        return keep_all(table)


@pytest.mark.usefixtures("own_registry")
def test_a_decorated_class_is_found_by_its_name() -> None:
    assert stage("shorten", kind="cut", reason="long", unit="characters")(Shorten) is Shorten
    info = stage_info("shorten")
    assert info.make is Shorten
    assert (info.kind, info.reason, info.unit) == ("cut", "long", "characters")
    assert info.summary == "Cut texts to a length.\n\nNothing is rejected."
    assert info.parameters == {"length": MISSING, "mark": "…"}
    assert info.descriptions == {
        "length": "Number of characters that stay, counted from the start.",
        "mark": "Text to append.",
    }
    assert "shorten" in stage_names()
    assert stage_names() == sorted(stage_names())


@pytest.mark.usefixtures("own_registry")
def test_a_taken_name_is_refused_and_the_same_class_is_not() -> None:
    info = StageInfo("length", Shorten, "cut", "")
    with pytest.raises(ValueError, match="'length' is already taken by LengthStage"):
        register(info)
    register(stage_info("length"))


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(KeyError, match="did you mean 'exact_dedup'"):
        stage_info("exact_dedupe")


def test_a_class_that_is_no_dataclass_has_no_parameters() -> None:
    class Plain(LocalStage):
        def __call__(self, table: pa.Table) -> Outcome:
            return keep_all(table)

    assert StageInfo("plain", Plain, "reject", "").parameters == {}


@pytest.mark.parametrize(
    "name", [n for n in stage_names() if stage_info(n).make.__module__.startswith(("cleaning", "dedup"))]
)
def test_every_stage_of_cleaning_and_dedup_describes_its_parameters(name: str) -> None:
    info = stage_info(name)
    assert list(info.descriptions) == list(info.parameters)
    assert all(text.endswith(".") for text in info.descriptions.values())
    assert info.summary.split("\n")[0].endswith(".")
