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
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast

from raylib.errors import RaylibError, nearest

if TYPE_CHECKING:
    import typer

    from raylib.recipe.converted import Converted

__all__ = ["Importer", "commands", "importers", "load_stages", "optional", "packages", "references", "schema", "tool"]


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
        entry.load()


def commands() -> Iterator[Callable[[typer.Typer], None]]:
    """Functions that add a package's commands to the `raylib` application, sorted by the package's name."""
    for entry in _entries("raylib.commands"):
        yield entry.load()


def importers() -> Iterator[Importer]:
    """Modules that convert recipes or configurations of other programs."""
    for entry in _entries("raylib.importers"):
        yield entry.load()


def references() -> Iterator[Callable[[], Mapping[str, str]]]:
    """Functions that return generated pages of the documentation, by path in the checkout."""
    for entry in _entries("raylib.references"):
        yield entry.load()


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
        found: object = entries[name].load()
    except (ImportError, AttributeError) as error:
        raise RaylibError(f"the {what} {name!r} ({entries[name].value}) cannot be loaded: {error}") from error
    return found


def optional(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a package that only an extra installs.

    Args:
        module: Name of the module.
        extra: Extra of `raylib-data` that installs it.
        purpose: What needs it; the subject of the error message.

    Raises:
        RaylibError: The package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".", maxsplit=1)[0]
        if error.name is None or package != error.name.split(".")[0]:
            raise  # the package is installed but lacks a dependency
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
