"""YAML that users write: files and values of options, with line numbers, and with words as they were written.

YAML 1.1 makes more of plain words than users mean. Here a date and `12:30` stay text, `1e-5` is a number, and the keys
`yes`, `no`, `on` and `off` are words. Of other values that are a boolean or a number the text is remembered, for the
options that want text: `gpus: yes`, `name: 1.10`, `source: no`.

A file may come from a stranger: its size, its depth and what its aliases stand for are bounded, and URIs with secrets
are refused before anything is done with them.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from raylib.credentials import secret_told, secrets_of

__all__ = ["Document", "KeyPath", "Where", "full_width_hint", "parse_document", "read_document"]

KeyPath = tuple[object, ...]

_MOST_BYTES = 4 << 20  # of a file; the largest recipe that we know has 40 KB
_DEEPEST = 100  # levels of mappings and lists
_MOST_REPEATED = 20_000  # values that all aliases of a text stand for
_MOST_DIGITS = 100  # of an integer


@dataclass(frozen=True)
class Where:
    """Names the place of a key: `file:line`, as far as lines are known.

    Attributes:
        file: Name of the file, or of whatever else the data came from.
        lines: Line number by the path of a key, such as `("stages", 2, "length", "min")`.
        written: Text of each plain boolean and number by the path of its key.
        overridden: Paths of the keys that the command line sets.
    """

    file: str
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    written: Mapping[KeyPath, str] = field(default_factory=dict)
    overridden: frozenset[KeyPath] = frozenset()

    def with_overrides(self, overrides: Mapping[str, object] | None) -> Where:
        """The same places, of data in which values by dotted key were replaced."""
        if not overrides:
            return self
        paths = frozenset(tuple(key.split(".")) for key in overrides)
        return replace(self, written={**self.written, **getattr(overrides, "written", {})}, overridden=paths)

    def __call__(self, *path: object) -> str:
        """The place of a key, or of the nearest key above it whose line is known."""
        if any(way[:end] in self.overridden for way in _ways(path) for end in range(1, len(way) + 1)):
            return "--set"
        if path and path not in self.lines and any(key[: len(path)] == path for key in self.overridden):
            return "--set"
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.file}:{self.lines[path]}" if path in self.lines else self.file

    def as_written(self, *path: object) -> str | None:
        """The text of a value that YAML made a boolean or a number; None if it is not known."""
        ways = [*_ways(path), path[:-1]]  # a stage may have its first parameter in place of a mapping
        return next((self.written[way] for way in ways if way in self.written), None)


def _ways(path: KeyPath) -> list[KeyPath]:
    """The paths by which a key may be named: an override names a stage by its name or number alone."""
    if len(path) > 3 and path[0] == "stages":
        return [path, ("stages", path[2], *path[3:]), ("stages", str(path[1]), *path[3:])]
    return [path]


@dataclass(frozen=True)
class Document:
    """What a YAML text holds.

    Attributes:
        data: Its content.
        where: Places of its keys.
        text: The text.
    """

    data: object
    where: Where
    text: str


class _Twice(yaml.MarkedYAMLError):
    """A key stands twice in a mapping, of which YAML would take the last."""


class _Loader(yaml.SafeLoader):
    """Plain data, with words as words."""

    depth = 0

    def fetch_flow_collection_start(self, TokenClass: type[yaml.Token]) -> None:  # noqa: N803 - PyYAML's own name
        if self.flow_level >= _DEEPEST:  # looked at here: PyYAML takes minutes to come to the composer
            problem = f"lists and mappings over {_DEEPEST} levels deep"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _DEEPEST:
            problem = f"lists and mappings over {_DEEPEST} levels deep"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark())
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:int" and len(node.value) > _MOST_DIGITS:
            problem = f"a number of {len(node.value)} characters; put it in quotes if it is a text"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError, IndexError):  # such as `!!int word`
            if not isinstance(node, yaml.ScalarNode):
                raise
            problem = f"{node.value[:40]!r} is not of the type {node.tag.rpartition(':')[2]!r}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[object, yaml.ScalarNode] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag == "tag:yaml.org,2002:bool":
                key.tag = "tag:yaml.org,2002:str"
            for meant in (key.value, self.construct_object(key)):  # 1 is 0x1, and looks like "1"
                other = seen.setdefault(meant, key)
                if other is not key:
                    raise _Twice(problem=_stands_twice(key, other), problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def _stands_twice(key: yaml.ScalarNode, other: yaml.ScalarNode) -> str:
    """What is wrong with the second of two keys."""
    line = other.start_mark.line
    written = f" as {other.value!r}" if other.value != key.value else ""
    first = f", first in line {line + 1}{written}" if line != key.start_mark.line else f", first{written}"
    return f"the key {key.value!r} stands twice{first if written or line != key.start_mark.line else ''}"


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """What plain words are: those of YAML 1.1, but no dates and no numbers to the base of 60."""
    left_out = {f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "int", "float")}
    return {
        first: [(tag, pattern) for tag, pattern in known if tag not in left_out]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.yaml_implicit_resolvers = _resolvers()
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)
_REMEMBERED = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float")}


def read_document(path: str | Path, error: type[Exception]) -> Document:
    """Read a YAML file that a user wrote.

    Args:
        path: Path of the file.
        error: What to raise.

    Returns:
        Its content.

    Raises:
        Exception: of the type `error`: the file cannot be read, is not text, or is not YAML; one line that names file
            and line, and says what would be right.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror or problem}") from None
    if len(data) > _MOST_BYTES:
        raise error(f"cannot read {path}: it has over {_MOST_BYTES >> 20} MiB; is this a recipe or a configuration?")
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as problem:
        raise error(f"cannot read {path}: {_not_text(path, data, problem)}") from None
    return parse_document(text, str(path), error)


def _not_text(path: str | Path, data: bytes, problem: UnicodeDecodeError) -> str:
    """Why bytes are not UTF-8, and what to do."""
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        return f"not a text in UTF-8 (byte {problem.start})"
    return (
        f"not UTF-8 at byte {problem.start}; if it is GB18030 (GBK), convert it: iconv -f gb18030 -t utf-8 {path}"
        if b"\0" not in data
        else f"not a text in UTF-8 (byte {problem.start})"
    )


def parse_document(text: str, where: str, error: type[Exception], *, lines: bool = True) -> Document:
    """Parse YAML that a user wrote.

    Args:
        text: The text.
        where: Name of its place, for errors.
        error: What to raise.
        lines: Whether errors name lines.

    Returns:
        Its content.

    Raises:
        Exception: of the type `error`: the text is not YAML, or a key stands twice in a mapping.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        places: dict[KeyPath, int] = {}
        written: dict[KeyPath, str] = {}
        if node is None:
            return Document(None, Where(where), text)
        _Places(places, written).record(node, (), ())
        data = loader.construct_document(node)
    except yaml.YAMLError as problem:
        raise error(_not_yaml(where, text, problem, lines=lines)) from None
    finally:
        if loader is not None:
            loader.dispose()
    at = Where(where, places if lines else {}, written)
    for path, found in secrets_of(data):
        raise error(f"{at(*path)}: {secret_told(path, found)}")
    return Document(data, at, text)


@dataclass
class _Places:
    """Collects the lines of all keys below a node, and the texts of booleans and numbers.

    Attributes:
        lines: Line by the path of a key.
        written: Text by the path of a key.
        seen: Nodes that were met; an alias leads to one of them again.
        repeated: How often that happened.
    """

    lines: dict[KeyPath, int]
    written: dict[KeyPath, str]
    seen: set[int] = field(default_factory=set)
    repeated: int = 0

    def record(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> None:
        """Add what stands at a node and below it."""
        if node in above:
            raise yaml.MarkedYAMLError(problem="an anchor that holds itself", problem_mark=node.start_mark)
        self._count(node, above)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*path, key.value if isinstance(key.value, str) else None)
                self.lines[inner] = key.start_mark.line + 1
                self.record(value, inner, (*above, node))
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                self.record(value, (*path, i), (*above, node))
        elif isinstance(node, yaml.ScalarNode) and node.tag in _REMEMBERED and node.style is None:
            self.written[path] = node.value

    def _count(self, node: yaml.Node, above: tuple[yaml.Node, ...]) -> None:
        """Count a node, and refuse aliases of aliases that stand for more than memory holds."""
        self.repeated += id(node) in self.seen
        self.seen.add(id(node))
        if self.repeated > _MOST_REPEATED or len(above) > _DEEPEST:
            problem = f"aliases (*name) that stand for over {_MOST_REPEATED} values; write out what is meant"
            place = above[1] if len(above) > 1 else node  # the outermost of the values that hold each other
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


_KEY = re.compile(r"^\s*(?:-\s*)?\{?\s*[\w.]+\s*：")
_ITEMS = re.compile(r"""[\[{][^"'#\]}]*，""")
_AFTER_ITEMS = re.compile(r"""[\]}]\s*，""")
_LONGEST_LINE = 1000  # the patterns take quadratic time


def full_width_hint(text: str) -> str:
    """Find a full-width sign in the structure of a YAML text.

    Args:
        text: The text.

    Returns:
        Its line, and what to write in its place; empty if there is none.
    """
    for number, line in enumerate(text.splitlines(), 1):
        line = line[:_LONGEST_LINE]
        if _KEY.match(line):
            return f"line {number}: '：' is a full-width colon; write ': '"
        if _ITEMS.search(line) or _AFTER_ITEMS.search(line):
            return f"line {number}: '，' is a full-width comma; write ', '"
    return ""


def _not_yaml(where: str, text: str, error: yaml.YAMLError, *, lines: bool) -> str:
    """Say in one line why a text is not YAML."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"{where}:{line}: not YAML: the character U+{error.character:04X}; is this a text?"
    mark = getattr(error, "problem_mark", None)
    place = f"{where}:{mark.line + 1}" if mark is not None and lines else where
    problem = getattr(error, "problem", None) or str(error).replace("\n", " ")
    if isinstance(error, _Twice):
        return f"{place}: {problem}; leave one of them"
    if "'\\t'" in problem:
        problem = "a tab; indent with spaces"
    elif "mapping values are not allowed" in problem:
        problem = "a second ': ' in one value; put a text that holds ': ' in quotes, and check the indentation"
    elif "another document" in problem:
        problem = "a second document after '---'; write one to a file"
    hint = full_width_hint(text)
    return f"{place}: not YAML: {problem}{'; ' + hint if hint else ''}"
