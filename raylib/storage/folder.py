"""The output folder of a run: opened, checked, cleared."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from raylib.atomic import SUFFIX
from raylib.errors import SourceError
from raylib.outputs import output_folder
from raylib.storage.manifest import manifest_parts
from raylib.storage.names import RunFiles
from raylib.storage.store import Store

__all__ = ["clear_store", "open_store", "unused_removed"]


def open_store(root: str) -> Store:
    """Open the output folder of a run; nothing in it is changed.

    Args:
        root: The folder, or a URI.

    Returns:
        The store of the run.

    Raises:
        SourceError: the folder holds something that is not a run of raylib.
        OutputError: the folder cannot be created or written to.
    """
    store = Store(root)
    if store.local:
        output_folder(store.path("").rstrip("/"), "output.path", root)
    if store.local and not store.exists(RunFiles.MANIFEST) and _strangers(store.path("")):
        raise SourceError(
            f"output.path {root!r} is not empty and holds no run of raylib (no {RunFiles.MANIFEST}); "
            "choose another folder"
        )
    return store


def _strangers(folder: str) -> list[str]:
    """Names in a folder without a manifest that no run, killed while it began or was deleted, can have left there."""
    if not os.path.isdir(folder):
        return []
    names = [name for name in os.listdir(folder) if not name.startswith(".")]
    return [name for name in names if not _is_ours(folder, name)]


def _is_ours(folder: str, name: str) -> bool:
    if name == RunFiles.RECIPE:
        return _is_resolved(os.path.join(folder, name))
    if name.endswith(SUFFIX):  # it was being written when its writer was killed
        name = name.removesuffix(SUFFIX).rpartition(".")[0]
        return name == RunFiles.MANIFEST or name in RunFiles.AT_THE_END
    return name in RunFiles.AT_THE_END


def _is_resolved(path: str) -> bool:
    """Whether a recipe is the copy that a run writes, which names every option, and not one that a user wrote."""
    with open(path, "rb") as stream:
        text = stream.read()
    return b"#" not in text and all(key in text for key in (b"\n  retries: ", b"\n  resolve_mb: ", b"\n  keep_work: "))


def clear_store(store: Store) -> None:
    """Delete the files of an earlier run. Its manifest goes last: it says that the folder is that of a run.

    Args:
        store: The folder of the run.
    """
    if store.exists(RunFiles.MANIFEST):
        for folder in RunFiles.FOLDERS:
            store.delete_folder(folder)
    for name in (*RunFiles.AT_THE_END, *reversed(manifest_parts(store))):
        if store.exists(name):
            store.delete(name)


@contextlib.contextmanager
def unused_removed(store: Store) -> Iterator[None]:
    """Remove the folder again if an error ends the block before anything was written to it.

    Args:
        store: The folder of the run.
    """
    try:
        yield
    except BaseException:
        if store.local:
            with contextlib.suppress(OSError):  # it holds something
                os.rmdir(store.path(""))
        raise
