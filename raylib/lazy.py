"""Faces of packages whose names are imported on first use (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

__all__ = ["lazy_names"]


def lazy_names(package: str, home: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package whose public names live in modules that are imported on first use.

    Args:
        package: Name of the package, for the error.
        home: Module of each name.

    Returns:
        The function. It raises AttributeError for any other name.
    """

    def get(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found: object = getattr(importlib.import_module(home[name]), name)
        return found

    return get
