"""Whether the output folder holds another run, which must not be replaced without being asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from raylib.checksums import checksum
from raylib.engine.fingerprints import FORMAT
from raylib.engine.planning import Plan
from raylib.errors import RecipeError, SourceError
from raylib.paths import located
from raylib.storage.entry import RunHeader
from raylib.storage.names import RunFiles
from raylib.storage.store import Store
from raylib.user_yaml import parse_document
from raylib.versions import versions

__all__ = ["check_earlier", "is_finished"]

_WITHOUT_INFLUENCE = {"name", "output.path", "output.check_space"}  # keys that no fingerprint depends on
_FIRST_FORMAT = "1"  # of folders that do not say
_ENGINE = {"engine.batch_mb", "engine.seed"}  # those of this section that one depends on


def check_earlier(store: Store, header: RunHeader | None, plan: Plan) -> None:
    """Check that the run in the folder, if there is one, is an earlier part of this one.

    Args:
        store: Folder of the run.
        header: The last header of its manifest; None if no task was committed.
        plan: The run that is about to begin.

    Raises:
        RecipeError: The folder holds a run of another plan; says what differs, and from where on it would be redone.
    """
    if header is None:
        return
    old = _recipe_in(store, header)
    new = _mapping(plan.recipe.to_yaml())
    same_input = not old or _inputs(old) == _inputs(new)
    if header.run == plan.chain[-1] and same_input:
        return
    changed = list(_differences(old, new)) if old else []
    if not header.run and not changed:  # its first line was damaged, and nothing says that this was another run
        return
    other_form = bool(header.run) and header.versions.get("format", _FIRST_FORMAT) != str(FORMAT)
    if other_form or not changed:
        changed = [_other_reason(header, plan), *changed]
    where = "from the beginning" if other_form else _from_where(old, new)
    raise RecipeError(
        f"{plan.recipe.output.path} holds another run. Different: {', '.join(changed[:5])}"
        f"{', ...' if len(changed) > 5 else ''}. Work would be done again {where}, and what that run "
        "kept would be replaced. Add --update (in Python: update=True) to do that, --fresh (fresh=True) to delete it "
        "and start over, or give another output.path"
    )


def is_finished(store: Store, header: RunHeader | None, plan: Plan) -> bool:
    """Whether the folder holds all of this run, unless the input has grown.

    Args:
        store: Folder of the run.
        header: The last header of its manifest; None if no task was committed.
        plan: The run that is about to begin.

    Returns:
        Whether a run of this plan has ended in the folder, and left no shard open.
    """
    if header is None or header.run != plan.chain[-1] or not store.exists(RunFiles.SUMMARY):
        return False
    try:
        return not store.read_json(RunFiles.SUMMARY, dict).get("quarantined")
    except SourceError:  # damaged; it is written anew
        return False


def _recipe_in(store: Store, header: RunHeader) -> dict[str, object]:
    """The resolved recipe that the folder's run wrote; empty if there is none, or if it is damaged."""
    if not store.exists(RunFiles.RECIPE):
        return {}
    written = store.read(RunFiles.RECIPE)
    if header.recipe and checksum(written) != header.recipe:
        return {}
    try:  # a folder may come from a stranger
        return _mapping(written.decode())
    except (RecipeError, UnicodeDecodeError):
        return {}


def _mapping(text: str) -> dict[str, object]:
    """The mapping that a YAML text is; empty if it is anything else."""
    found = parse_document(text, RunFiles.RECIPE, RecipeError).data
    return found if isinstance(found, dict) else {}


def _inputs(recipe: Mapping[str, object]) -> object:
    """The input paths of a recipe, however they are written."""
    section = recipe.get("input")
    paths = section.get("path") if isinstance(section, dict) else None
    return located([paths] if isinstance(paths, str) else paths)


def _differences(old: object, new: object, place: str = "") -> Iterator[str]:
    """Dotted names of the values that differ and that matter."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(k for k in old if k not in new)]:
            yield from _differences(old.get(key), new.get(key), f"{place}.{key}" if place else str(key))
    elif isinstance(old, list) and isinstance(new, list) and place == "stages" and len(old) == len(new):
        for number, (before, after) in enumerate(zip(old, new, strict=True), 1):
            yield from _differences(before, after, f"stage {number}")
    elif old != new and place not in _WITHOUT_INFLUENCE and (place in _ENGINE or not place.startswith("engine.")):
        yield place


def _other_reason(header: RunHeader, plan: Plan) -> str:
    """What differs when the recipes are the same."""
    form = header.versions.get("format", _FIRST_FORMAT)
    if form != str(FORMAT):
        return (
            f"raylib {header.versions.get('raylib')} wrote it, with records in format {form}; this is "
            f"{versions()['raylib']}, which reads that format and writes format {FORMAT}"
        )
    if header.versions.get("raylib") != versions()["raylib"]:
        return f"raylib {header.versions.get('raylib')} began it, this is {versions()['raylib']}"
    return f"{'the first' if plan.limit else 'all'} records are read; or a file that a stage names has changed"


def _from_where(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """The first stage whose work cannot be reused."""
    before, after = old.get("stages"), new.get("stages")
    if old.get("input") != new.get("input") or not isinstance(before, list) or not isinstance(after, list):
        return "from the beginning"
    for number, stage in enumerate(after):
        if number >= len(before) or before[number] != stage:
            return f"from stage {number + 1} ({next(iter(stage))}) on, and what runs in one pass with it"
    return "from the beginning" if before == after else "in the last pass"
