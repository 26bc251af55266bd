"""raylib: from raw text to an aligned model, on Ray.

The public API is small: `read` starts a lazy `Dataset`, and `run` executes a `Recipe`. Everything is imported on first
use, so that `import raylib` takes no time and loads neither ray nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raylib.lazy import lazy_names
from raylib.plugins import tool
from raylib.versions import __version__

if TYPE_CHECKING:
    from dedup.index import open_index
    from raylib.dataset import Dataset, read
    from raylib.engine import run
    from raylib.errors import RaylibError, RecipeError, RecordError, ShardError, SourceError
    from raylib.recipe import Recipe

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
_get = lazy_names(__name__, _HOME)


def __getattr__(name: str) -> object:
    if name == "open_index":
        return tool(name)
    return _get(name)


def __dir__() -> list[str]:
    return sorted(__all__)
