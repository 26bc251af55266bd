"""Docstrings of stages taken apart: the description, and what each parameter is."""

from __future__ import annotations

import inspect
import re

__all__ = ["description_of", "parameter_notes"]

_SECTION = re.compile(r"^(Args|Attributes|Parameters|Returns|Yields|Raises|Examples?|Notes?|References?):$")
_PARAMETERS = ("Args", "Attributes", "Parameters")
_ENTRY = re.compile(r"^(\w+)(?: \([^)]*\))?: *(.*)$")


def description_of(docstring: str) -> str:
    """The text of a docstring before its first section (`Args:`, `Raises:`, ...)."""
    lines = inspect.cleandoc(docstring).splitlines()
    end = next((i for i, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    return "\n".join(lines[:end]).rstrip()


def parameter_notes(docstring: str) -> dict[str, str]:
    """What a docstring says of each parameter, by name.

    Args:
        docstring: Text in Google style; its sections `Args` and `Attributes` are read.

    Returns:
        One paragraph per parameter that is described.
    """
    notes: dict[str, str] = {}
    inside, indent, name = False, 0, ""
    for line in inspect.cleandoc(docstring).splitlines():
        heading = _SECTION.match(line)
        if heading or not line.startswith(" "):
            if line:
                inside, indent, name = bool(heading and heading.group(1) in _PARAMETERS), 0, ""
            continue
        if not inside:
            continue
        text = line.strip()
        depth = len(line) - len(line.lstrip())
        indent = indent or depth
        entry = _ENTRY.match(text) if depth == indent else None
        if entry:
            name = entry.group(1)
            notes[name] = entry.group(2)
        elif name:
            notes[name] = f"{notes[name]} {text}".strip()
    return notes
