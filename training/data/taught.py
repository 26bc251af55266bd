"""How the token folders of a run render conversations: the model that is saved has to talk like that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raylib.errors import TrainingError
from training.data.token_set import TEMPLATE, TokenSet

__all__ = ["Taught", "taught_by"]

_OF_THE_RENDERING = ("template", "template_options", "reasoning", "developer", "end_token")


@dataclass(frozen=True)
class Taught:
    """How a model is taught to talk.

    Attributes:
        template: Jinja source of the chat template, whose variables have the values that were used.
        stops: Ids of the tokens that end an answer.
    """

    template: str
    stops: tuple[int, ...]


def taught_by(paths: Sequence[str], options: Mapping[str, object] | None = None) -> Taught | None:
    """How token folders render conversations.

    Args:
        paths: Token folders.
        options: Variables of the template that the folders must have been rendered with; None for any.

    Returns:
        The template and the ends of answers; None if no folder holds conversations.

    Raises:
        TrainingError: if two folders differ, or if a folder was rendered with other variables.
    """
    first: tuple[str, TokenSet, str] | None = None
    for path in dict.fromkeys(paths):
        found = TokenSet(path)
        if found.kind == "pretrain":
            continue
        given = found.info["chat"].get("template_options") or {}
        if options is not None and dict(options) != given:
            raise TrainingError(
                f"model.template_options is {dict(options)}, but {path} was rendered with {given}; tokenise it again "
                "with the same options"
            )
        source = (Path(path) / TEMPLATE).read_text("utf-8")
        if first is None:
            first = path, found, source
        elif source != first[2] or _rendering(found) != _rendering(first[1]):
            raise TrainingError(f"{path} and {first[0]} render conversations otherwise: {_difference(found, first[1])}")
    return None if first is None else Taught(first[2], tuple(first[1].info["stops"]))


def _rendering(tokens: TokenSet) -> dict[str, object]:
    return {name: tokens.info["chat"].get(name) for name in _OF_THE_RENDERING}


def _difference(one: TokenSet, other: TokenSet) -> str:
    a, b = _rendering(one), _rendering(other)
    lines = [f"{name} {a[name]!r} and {b[name]!r}" for name in a if a[name] != b[name]]
    return ", ".join(lines) or "their chat templates differ"
