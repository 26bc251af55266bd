"""The output folder of a run: opened, checked, cleared."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

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
    if store.local and not store.exists(RunFiles.MANIFEST):
        folder = store.path("")
        if os.path.isdir(folder) and any(not n.startswith(".") for n in os.listdir(folder)):
            raise SourceError(
                f"output.path {root!r} is not empty and holds no run of raylib (no {RunFiles.MANIFEST}); "
                "choose another folder"
            )
    return store


def clear_store(store: Store) -> None:
    """Delete the files of an earlier run.

    Args:
        store: The folder of the run.
    """
    if not store.exists(RunFiles.MANIFEST):
        return
    for folder in RunFiles.FOLDERS:
        store.delete_folder(folder)
    # the first part of the manifest goes last of its parts: it says that this is a run
    for name in (*reversed(manifest_parts(store)), *RunFiles.AT_THE_END):
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
