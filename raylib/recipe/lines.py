"""Line numbers of YAML keys, for error messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

__all__ = ["KeyPath", "Where", "full_width_hint", "not_yaml", "record_lines"]

KeyPath = tuple[object, ...]


@dataclass(frozen=True)
class Where:
    """Names the place of a key: `file:line`, as far as lines are known.

    Attributes:
        file: Name of the file, or of whatever else the data came from.
        lines: Line number by the path of a key, such as `("stages", 2, "length", "min")`.
    """

    file: str
    lines: Mapping[KeyPath, int]

    def __call__(self, *path: object) -> str:
        """The place of a key, or of the nearest key above it whose line is known."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.file}:{self.lines[path]}" if path in self.lines else self.file


def record_lines(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> None:
    """Add the line numbers of all keys below a YAML node.

    Args:
        node: The node.
        path: Path of the node.
        lines: Line number by path; is extended.
    """
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, key.value)
            lines[inner] = key.start_mark.line + 1
            record_lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            record_lines(value, (*path, i), lines)


_KEY = re.compile(r"^\s*(?:-\s*)?\{?\s*[\w.]+\s*：")
_ITEMS = re.compile(r"""[\[{][^"'#\]}]*，""")


def full_width_hint(text: str) -> str:
    """Find a full-width sign in the structure of a YAML text.

    Args:
        text: The text.

    Returns:
        Its line, and what to write in its place; empty if there is none.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if _KEY.match(line):
            return f"line {number}: '：' is a full-width colon; write ': '"
        if _ITEMS.search(line):
            return f"line {number}: '，' is a full-width comma; write ', '"
    return ""


def not_yaml(where: str, text: str, error: yaml.YAMLError) -> str:
    """Say why a text is not YAML.

    Args:
        where: Name of the text's place.
        text: The text.
        error: What the parser says.

    Returns:
        The message, in one line that names file and line.
    """
    mark = getattr(error, "problem_mark", None)
    place = f"{where}:{mark.line + 1}" if mark is not None else where
    problem = getattr(error, "problem", None) or str(error)
    if "'\\t'" in problem:
        problem = "a tab; indent with spaces"
    hint = full_width_hint(text)
    return f"{place}: not YAML: {problem}{'; ' + hint if hint else ''}"
