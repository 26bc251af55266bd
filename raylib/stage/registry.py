"""Recipe names of stages, and what the validator and the references need to know about each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Literal, TypeAlias, TypeVar

from raylib.errors import UnknownNameError, nearest
from raylib.plugins import load_stages
from raylib.stage.docstrings import parameters_described, text_of_docstring
from raylib.stage.threshold import Threshold

__all__ = ["StageInfo", "StageKind", "register", "stage", "stage_info", "stage_names"]

StageKind: TypeAlias = Literal["rewrite", "cut", "reject", "score", "global"]
"""What a stage does to records: rewrite texts, cut parts of them, reject records, add columns, or compare them."""

Made = TypeVar("Made", bound=type)


@dataclass(frozen=True)
class StageInfo:
    """A registry entry: everything that the recipe validator and the rule reference need.

    Attributes:
        name: Name in recipes.
        make: Class of the stage; its keyword arguments are the parameters.
        kind: What the stage does to records.
        summary: What the references say about it; sections of a docstring (`Args`, `Attributes`) are left out.
        reason: Reason that its rejects show.
        unit: Unit of its threshold.
        examples: Texts before and after, or texts and a part of the evidence ("" for kept).
        thresholds: Parameters by which it rejects texts, the most important one first.
    """

    name: str
    make: type
    kind: str
    summary: str
    reason: str = ""
    unit: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    thresholds: tuple[Threshold, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary", text_of_docstring(self.summary))

    @property
    def parameters(self) -> dict[str, object]:
        """Parameter names and defaults in declaration order; `dataclasses.MISSING` for a required parameter."""
        if not is_dataclass(self.make):
            return {}
        return {f.name: f.default for f in fields(self.make) if f.init}

    @property
    def descriptions(self) -> dict[str, str]:
        """What the class's docstring says about each parameter that it describes."""
        described = parameters_described(self.make.__doc__)
        return {name: described[name] for name in self.parameters if name in described}


_REGISTRY: dict[str, StageInfo] = {}
_state = {"loaded": False}


def register(info: StageInfo) -> None:
    """Make a stage known by its recipe name.

    Args:
        info: The entry. An earlier one of the same class is replaced.

    Raises:
        ValueError: if another class has the name.
    """
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

    Returns:
        A decorator that returns the class as it is.
    """

    def decorate(made: Made) -> Made:
        register(StageInfo(name=name, make=made, kind=kind, summary=made.__doc__ or "", reason=reason, unit=unit))
        return made

    return decorate


def _load() -> None:
    if _state["loaded"]:
        return
    _state["loaded"] = True
    load_stages()


def stage_names() -> list[str]:
    """Names of all registered stages.

    Returns:
        The names, sorted.
    """
    _load()
    return sorted(_REGISTRY)


def stage_info(name: str) -> StageInfo:
    """The registry entry of a stage.

    Args:
        name: Name in recipes.

    Returns:
        The entry.

    Raises:
        UnknownNameError: if there is no such stage; names the nearest one. It is a KeyError, too.
    """
    _load()
    if name not in _REGISTRY:
        raise UnknownNameError(f"unknown stage {name!r}{nearest(name, _REGISTRY)}")
    return _REGISTRY[name]
