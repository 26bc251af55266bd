"""The output folder of a run: opened, checked, cleared."""

from __future__ import annotations

import os

from raylib.errors import SourceError
from raylib.outputs import output_folder
from raylib.storage.manifest import manifest_parts
from raylib.storage.names import RunFiles
from raylib.storage.store import Store

__all__ = ["start_store"]


def start_store(root: str, *, fresh: bool) -> Store:
    """Open the output folder of a run.

    Args:
        root: The folder, or a URI.
        fresh: Delete the files of an earlier run first.

    Returns:
        The store of the run.

    Raises:
        SourceError: the folder holds something that is not a run of raylib.
        OutputError: the folder cannot be created or written to.
    """
    store = Store(root)
    if store.local:
        output_folder(store.path("").rstrip("/"), "output.path", root)
    ours = store.exists(RunFiles.MANIFEST)
    if store.local and not ours:
        folder = store.path("")
        if os.path.isdir(folder) and any(not n.startswith(".") for n in os.listdir(folder)):
            raise SourceError(
                f"output.path {root!r} is not empty and holds no run of raylib (no {RunFiles.MANIFEST}); "
                "choose another folder"
            )
    if fresh and ours:
        for folder in RunFiles.FOLDERS:
            store.delete_folder(folder)
        # the first part of the manifest goes last of its parts: it says that this is a run
        for name in (*reversed(manifest_parts(store)), *RunFiles.AT_THE_END):
            if store.exists(name):
                store.delete(name)
    return store
