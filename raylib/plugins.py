"""Wings found through entry points: stages, commands, tools and importers.

No module of `raylib` imports cleaning, dedup, quality or training by name. Each of them, and any package of
somebody else's, announces itself in its distribution's metadata:

* `raylib.stages`: a module that registers stages when it is imported
* `raylib.commands`: a function that adds commands to the `raylib` application
* `raylib.tools`: a function that the Python API calls by the entry point's name
* `raylib.importers`: a module with `matches(data)` and `convert(data, where)`
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from raylib.errors import RaylibError, nearest

if TYPE_CHECKING:
    from types import ModuleType

    import typer

__all__ = ["commands", "importers", "load_stages", "optional", "tool"]


def load_stages() -> None:
    """Import every module that registers stages."""
    for entry in _entries("raylib.stages"):
        entry.load()


def commands() -> Iterator[Callable[[typer.Typer], None]]:
    """Functions that add a package's commands to the `raylib` application, sorted by the package's name."""
    for entry in _entries("raylib.commands"):
        yield entry.load()


def importers() -> Iterator[ModuleType]:
    """Modules that convert recipes or configurations of other programs."""
    for entry in _entries("raylib.importers"):
        yield entry.load()


def tool(name: str) -> Callable[..., Any]:
    """The function that an installed package offers under this name.

    Raises:
        RaylibError: if no installed package offers it.
    """
    entries = {entry.name: entry for entry in _entries("raylib.tools")}
    if name not in entries:
        raise RaylibError(f"no installed package offers the tool {name!r}{nearest(name, entries)}")
    loaded: Callable[..., Any] = entries[name].load()
    return loaded


def optional(module: str, *, extra: str, purpose: str) -> Any:
    """Import a package that only an extra installs.

    Args:
        module: Name of the module.
        extra: Extra of `raylib-data` that installs it.
        purpose: What needs it; the subject of the error message.

    Raises:
        RaylibError: if the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".", maxsplit=1)[0] != error.name.split(".")[0]:
            raise  # a package that is installed lacks one of its own
        package = module.split(".", maxsplit=1)[0]
        raise RaylibError(f"{purpose} needs the package {package}: pip install 'raylib-data[{extra}]'") from error


@functools.cache
def _entries(group: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    """Entry points of a group over all distributions on the path, sorted by name.

    `importlib.metadata.entry_points` looks only at the first distribution of a name. In a checkout that is the
    `*.egg-info` beside the sources, which may be older than what was installed.
    """
    found = {
        (entry.name, entry.value): entry
        for distribution in importlib.metadata.distributions()
        for entry in distribution.entry_points
        if entry.group == group
    }
    if not found:
        raise RaylibError(f"no installed package has entry points {group!r}; install raylib: pip install -e .")
    return tuple(found[key] for key in sorted(found))
