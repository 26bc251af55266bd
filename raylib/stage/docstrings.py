"""What a docstring in Google style says: the text before its sections, and the description of each parameter."""

from __future__ import annotations

import inspect
import re

__all__ = ["parameters_described", "text_of_docstring"]

_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields|Examples?|Notes?):\s*$", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+)(?: \([^)]*\))?: (.*(?:\n {5,}.*|\n(?=\n))*)", re.MULTILINE)


def text_of_docstring(docstring: str | None) -> str:
    """The text of a docstring without indentation and without its sections.

    Args:
        docstring: A docstring as Python keeps it; None counts as empty.

    Returns:
        The text.
    """
    text = inspect.cleandoc(docstring or "")
    section = _SECTION.search(text)
    return (text[: section.start()] if section else text).rstrip()


def parameters_described(docstring: str | None) -> dict[str, str]:
    """Descriptions of parameters by name, each on one line, from the sections `Args` and `Attributes`.

    Args:
        docstring: A docstring as Python keeps it; None counts as empty.

    Returns:
        Descriptions by name of the parameter.
    """
    parts = _SECTION.split(inspect.cleandoc(docstring or ""))
    described: dict[str, str] = {}
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        if title in ("Args", "Attributes"):
            described |= {name: " ".join(words.split()) for name, words in _ENTRY.findall(body)}
    return described
