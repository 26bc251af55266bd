"""Recipe names of stages, and what the validator and the references need to know about each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from raylib.errors import UnknownNameError, nearest
from raylib.plugins import load_stages

__all__ = ["StageInfo", "StageKind", "register", "stage", "stage_info", "stage_names"]

StageKind: TypeAlias = Literal["rewrite", "cut", "reject", "score", "global"]
"""What a stage does to records: rewrite texts, cut parts of them, reject records, add columns, or compare all of them."""

Made = TypeVar("Made", bound=type)


@dataclass(frozen=True)
class StageInfo:
    """A registry entry: everything that the recipe validator and the rule reference need."""

    name: str
    make: type[Any]
    kind: str
    summary: str
    reason: str = ""
    unit: str = ""
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameter names and defaults in declaration order."""
        if not is_dataclass(self.make):
            return {}
        return {f.name: f.default for f in fields(self.make) if f.init}


_REGISTRY: dict[str, StageInfo] = {}
_state = {"loaded": False}


def register(info: StageInfo) -> None:
    """Make a stage known by its recipe name. Registering another class under a taken name is an error."""
    other = _REGISTRY.get(info.name)
    if other is not None and other.make.__qualname__ != info.make.__qualname__:
        raise ValueError(f"stage name {info.name!r} is already taken by {other.make.__qualname__}")
    _REGISTRY[info.name] = info


def stage(name: str, *, kind: StageKind, reason: str = "", unit: str = "") -> Callable[[Made], Made]:
    """Register a stage class under a recipe name; its docstring is its summary in the references.

    Args:
        name: Name in recipes.
        kind: What the stage does to records.
        reason: Reason that its rejects show.
        unit: Unit of its threshold, for the references.
    """

    def decorate(made: Made) -> Made:
        summary = inspect.cleandoc(made.__doc__ or "")
        register(StageInfo(name=name, make=made, kind=kind, summary=summary, reason=reason, unit=unit))
        return made

    return decorate


def _load() -> None:
    if _state["loaded"]:
        return
    _state["loaded"] = True
    load_stages()


def stage_names() -> list[str]:
    """All registered stage names, sorted."""
    _load()
    return sorted(_REGISTRY)


def stage_info(name: str) -> StageInfo:
    """The registry entry of a stage.

    Raises:
        UnknownNameError: No stage has this name; the message names the nearest one. It is a KeyError too.
    """
    _load()
    if name not in _REGISTRY:
        raise UnknownNameError(f"unknown stage {name!r}{nearest(name, _REGISTRY)}")
    return _REGISTRY[name]
