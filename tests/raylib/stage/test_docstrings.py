"""Docstrings in Google style: the text, and the description of each parameter."""

from __future__ import annotations

import pytest

from raylib.stage.docstrings import parameters_described, text_of_docstring

DOCSTRING = """Reject texts.

    They are too short (under `min`).

    Args:
        texts: String array.
        min: Least length, in
            characters.

        name (str): Its name: any text.

    Returns:
        evidence: not a parameter.
    """


def test_sections_are_no_part_of_the_text() -> None:
    assert text_of_docstring(DOCSTRING) == "Reject texts.\n\nThey are too short (under `min`)."


def test_parameters_are_described_on_one_line_each() -> None:
    assert parameters_described(DOCSTRING) == {
        "texts": "String array.",
        "min": "Least length, in characters.",
        "name": "Its name: any text.",
    }


@pytest.mark.parametrize("docstring", [None, "", "One line."])
def test_a_docstring_without_sections_describes_nothing(docstring: str | None) -> None:
    assert text_of_docstring(docstring) == (docstring or "")
    assert parameters_described(docstring) == {}
