"""Reading a configuration: dotted overrides, and unknown keys reported with the nearest valid name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import get_args, get_type_hints

from raylib.errors import TrainingError, nearest
from raylib.user_yaml import Where

__all__ = ["check_keys", "dotted", "override", "plain_mapping"]


def plain_mapping(data: object, where: str) -> dict[str, object]:
    """A copy of the data with string keys, and lists in place of tuples.

    Raises:
        TrainingError: if the data is not a mapping.
    """
    if not isinstance(data, dict):
        what = "is empty" if data is None else "holds something else"
        raise TrainingError(
            f"{where} {what}: a training configuration is a mapping with objective, model, data and output"
        )
    return {str(key): _plain(value) for key, value in data.items()}


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def override(data: dict[str, object], overrides: Mapping[str, object]) -> None:
    """Set dotted keys such as `optimizer.learning_rate` in place.

    Raises:
        TrainingError: if a key leads through something that is not a section.
    """
    for key, value in overrides.items():
        *parents, last = key.split(".")
        target = data
        for part in parents:
            section = target.setdefault(part, {})
            if not isinstance(section, dict):
                raise TrainingError(f"--set {key}: {part!r} is not a section")
            target = section
        target[last] = value


def check_keys(kind: type, data: Mapping[str, object], at: Where, path: tuple[object, ...] = ()) -> None:
    """Check the keys of a section and of the sections and lists inside it.

    Args:
        kind: Dataclass of the section.
        data: What the file holds for it.
        at: Names the places that messages mention.
        path: Path of the section.

    Raises:
        TrainingError: if a key is unknown, or an item is no section; names it and the nearest valid one.
    """
    hints = get_type_hints(kind)
    for key, value in data.items():
        place = (*path, key)
        if key not in hints:
            hint = "; this is a recipe: raylib run" if not path and key in ("input", "stages") else ""
            raise TrainingError(f"{at(*place)}: unknown key {dotted(place)}{hint or nearest(key, list(hints))}")
        for inner, inside, item in _inner_sections(hints[key], place, value):
            if not isinstance(item, dict):
                expected = _example(hints[key] if inside == place else inner)
                raise TrainingError(f"{at(*inside)}: {dotted(inside)} should be {expected}, is {item!r}")
            check_keys(inner, item, at, inside)


def _example(hint: object) -> str:
    """What a section, or a list of sections, looks like."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return f"a mapping such as {{{dataclasses.fields(hint)[0].name}: ...}}"
    inner = next(inner for inner in get_args(hint) if isinstance(inner, type) and dataclasses.is_dataclass(inner))
    return f"a list such as [{{{dataclasses.fields(inner)[0].name}: ...}}]"


def dotted(path: Sequence[object]) -> str:
    """Write a path of keys and positions as users do.

    Args:
        path: The keys, and positions in lists.

    Returns:
        The path, such as `data.train[0].path`.
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _inner_sections(
    hint: object, place: tuple[object, ...], value: object
) -> Iterator[tuple[type, tuple[object, ...], object]]:
    """Sections inside a value, each with its dataclass and its path: one, or the items of a list."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint, place, value
        return
    for inner in get_args(hint):
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            if not isinstance(value, list):
                yield inner, place, [value] if isinstance(value, dict) else value  # no section in either case
                return
            for number, item in enumerate(value):
                yield inner, (*place, number), item
