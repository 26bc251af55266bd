"""raylib: from raw text to an aligned model, on Ray.

The public API is small: `read` starts a lazy `Dataset`, `run` executes a `Recipe`.
Everything is imported on first use, so that `import raylib` stays instant and pulls in
neither ray nor torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dedup.index import open_index
    from raylib.dataset import Dataset, read
    from raylib.engine import run
    from raylib.errors import RaylibError, RecipeError, RecordError, ShardError, SourceError
    from raylib.recipe import Recipe

from raylib.versions import __version__

__all__ = [
    "Dataset",
    "RaylibError",
    "Recipe",
    "RecipeError",
    "RecordError",
    "ShardError",
    "SourceError",
    "__version__",
    "open_index",
    "read",
    "run",
]

_HOME = {
    "Dataset": "raylib.dataset",
    "read": "raylib.dataset",
    "run": "raylib.engine",
    "Recipe": "raylib.recipe",
    "RaylibError": "raylib.errors",
    "RecipeError": "raylib.errors",
    "RecordError": "raylib.errors",
    "ShardError": "raylib.errors",
    "SourceError": "raylib.errors",
}


def __getattr__(name: str) -> Any:
    if name == "open_index":
        from raylib.plugins import tool

        return tool(name)
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'raylib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
