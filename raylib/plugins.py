"""Wings found through entry points: stages, commands, tools, importers, references and schemas.

No module of `raylib` imports cleaning, dedup, quality or training by name. Each of them, and any package of other
authors, announces itself in its distribution's metadata:

* `raylib.stages`: a module that registers stages when it is imported
* `raylib.commands`: a function that adds commands to the `raylib` application
* `raylib.tools`: a function that the Python API calls by the entry point's name
* `raylib.importers`: a module with `matches(data)`, `convert(data, where)` and the text `RECOGNISED_BY`
* `raylib.references`: a function that returns generated pages, by their path in the checkout
* `raylib.schemas`: a function that returns the JSON schema of a kind of file, under the kind's name
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from raylib.errors import RaylibError, nearest

if TYPE_CHECKING:
    import typer

    from raylib.recipe.converted import Converted

__all__ = ["Importer", "commands", "importers", "load_stages", "packages", "references", "schema", "tool"]


class Importer(Protocol):
    """A module that converts recipes or configurations of another program."""

    RECOGNISED_BY: str

    def matches(self, data: object) -> bool:
        """Whether data that was read from YAML looks like this program's."""
        ...

    def convert(self, data: Mapping[str, object], where: str) -> Converted:
        """A recipe or training configuration made from the data; `where` names its file."""
        ...


def load_stages() -> None:
    """Import every module that registers stages."""
    for entry in _entries("raylib.stages"):
        _load(entry)


def commands() -> Iterator[Callable[[typer.Typer], None]]:
    """Functions that add a package's commands to the `raylib` application, sorted by the package's name."""
    for entry in _entries("raylib.commands"):
        yield cast("Callable[[typer.Typer], None]", _load(entry))


def importers() -> Iterator[Importer]:
    """Modules that convert recipes or configurations of other programs."""
    for entry in _entries("raylib.importers"):
        yield cast("Any", _load(entry))


def references() -> Iterator[Callable[[], Mapping[str, str]]]:
    """Functions that return generated pages of the documentation, by path in the checkout."""
    for entry in _entries("raylib.references"):
        yield cast("Any", _load(entry))


def packages() -> list[str]:
    """Names of raylib and of all packages that extend it, sorted."""
    groups = ("raylib.stages", "raylib.commands", "raylib.importers")
    return sorted({"raylib", *(entry.value.split(".")[0] for group in groups for entry in _entries(group))})


def schema(kind: str) -> dict[str, object]:
    """The JSON schema of a kind of file.

    Args:
        kind: Name of the kind, such as `recipe` or `training`.

    Raises:
        RaylibError: No installed package offers the schema, or a package that it needs is missing.
    """
    make = cast("Callable[[], dict[str, object]]", _named("raylib.schemas", kind, "schema"))
    return make()


def tool(name: str) -> Callable[..., Any]:
    """The function that an installed package offers under this name.

    Raises:
        RaylibError: No installed package offers it, or a package that it needs is missing.
    """
    return cast("Callable[..., Any]", _named("raylib.tools", name, "tool"))


def _named(group: str, name: str, what: str) -> object:
    """The object of one entry point; a RaylibError if there is none, or if it cannot be imported."""
    entries = {entry.name: entry for entry in _entries(group)}
    if name not in entries:
        raise RaylibError(f"no installed package offers the {what} {name!r}{nearest(name, entries)}")
    try:
        return _load(entries[name])
    except (ImportError, AttributeError) as error:
        raise RaylibError(f"the {what} {name!r} ({entries[name].value}) cannot be loaded: {error}") from error


def _load(entry: importlib.metadata.EntryPoint) -> object:
    """The object of an entry point.

    Raises:
        RaylibError: A folder of the user has the name of the package, and Python finds that one.
    """
    try:
        found: object = entry.load()
    except ModuleNotFoundError as error:
        package = entry.value.split(":")[0].split(".")[0]
        other = getattr(sys.modules.get(package), "__file__", None)
        if error.name is None or not error.name.startswith(f"{package}.") or other is None:
            raise
        raise RaylibError(
            f"Python finds a package {package!r} in {os.path.dirname(other)}, which hides the one of raylib; "
            "rename that folder, or start Python in another one"
        ) from error
    return found


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
